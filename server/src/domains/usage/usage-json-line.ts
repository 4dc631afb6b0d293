import { isText, type RecordFields, readInstant, readPrice, readType, readUsed } from './usage-fields.ts';

// Every field has a length of its own, so the length of a key says which one it may be.
const keys = ['used', 'price', 'used_at', 'record_id', 'usage_type', 'subscription_id'].map((name) =>
  Buffer.from(name),
);
const keyOfLength: (Uint8Array | undefined)[] = [];
for (const key of keys) keyOfLength[key.length] = key;
const [used, price, usedAt, recordId, usageType, subscriptionId] = keys.map(({ length }) => length) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const allFields = keys.reduce((bits, { length }) => bits | (1 << length), 0);

const [quote, backslash, openBrace, closeBrace, comma, colon] = [34, 92, 123, 125, 44, 58] as const;
const space = 32;
const maxTextBytes = 200;

/**
 * Reads a flat JSON object with the six fields in any order.
 * @returns where it ends (behind the brace), or -1 for everything this reader does not take: escapes, other fields, a field
 *   twice, numbers as text … The careful reader judges those.
 */
export function readJsonLine(fields: RecordFields, from: number, types: readonly Uint8Array[]): number {
  const bytes = fields.source;
  let seen = 0;
  let at = skipSpace(bytes, from);
  if (bytes[at] !== openBrace) return -1;
  for (;;) {
    at = skipSpace(bytes, at + 1);
    if (bytes[at] !== quote) return -1;
    const keyAt = at + 1;
    at = endOfText(bytes, keyAt);
    const length = at - keyAt;
    const key = keyOfLength[length];
    if (at < 0 || key === undefined || (seen & (1 << length)) !== 0 || !isText(bytes, keyAt, key)) return -1;
    seen |= 1 << length;
    at = skipSpace(bytes, at + 1);
    if (bytes[at] !== colon) return -1;
    at = readValue(fields, length, { from: skipSpace(bytes, at + 1), types });
    if (at < 0) return -1;
    at = skipSpace(bytes, at);
    if (bytes[at] === comma) continue;
    return bytes[at] === closeBrace && seen === allFields ? at + 1 : -1;
  }
}

/** @returns where the value ends, or -1 */
function readValue(
  fields: RecordFields,
  key: number,
  { from, types }: { readonly from: number; readonly types: readonly Uint8Array[] },
): number {
  const bytes = fields.source;
  if (key === used) return readNumber(fields, from);
  if (bytes[from] !== quote) return -1;
  const at = from + 1;
  const end = endOfText(bytes, at);
  if (end <= at) return -1;
  if (key === subscriptionId) {
    fields.subscriptionAt = at;
    fields.subscriptionEnd = end;
  } else if (key === recordId) {
    fields.recordAt = at;
    fields.recordEnd = end;
  } else if (key === usageType) {
    fields.type = readType(fields, types, [at, end]);
    if (fields.type < 0) return -1;
  } else if (key === usedAt) {
    fields.usedAtMs = readInstant(bytes, at, end);
    if (Number.isNaN(fields.usedAtMs)) return -1;
  } else if (key !== price || !readPrice(fields, at, end)) return -1;
  return end + 1;
}

function readNumber(fields: RecordFields, from: number): number {
  const bytes = fields.source;
  let end = from;
  for (; end < bytes.length; end++) {
    const byte = bytes[end] ?? 0;
    if (byte < 48 || byte > 57) break;
  }
  // JSON has no numbers like 007.
  if (end - from > 1 && bytes[from] === 48) return -1;
  return readUsed(fields, from, end) ? end : -1;
}

/** Blanks and tabs, not line ends. */
function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === space || bytes[at] === 9) at++;
  return at;
}

/** Where the closing quote stands; -1 when the text has escapes or control characters, is long, or does not end. */
function endOfText(bytes: Uint8Array, from: number): number {
  const limit = Math.min(bytes.length, from + maxTextBytes + 1);
  for (let at = from; at < limit; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === quote) return at;
    if (byte === backslash || byte < space) return -1;
  }
  return -1;
}
