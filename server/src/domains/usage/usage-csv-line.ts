import { type RecordFields, readInstant, readPrice, readType, readUsed } from './usage-fields.ts';

/** The columns of a CSV upload, in any order. */
export const usageColumns = ['record_id', 'subscription_id', 'usage_type', 'used_at', 'used', 'price'] as const;
export type UsageColumn = (typeof usageColumns)[number];

const [quote, comma, lineFeed, carriageReturn, space] = [34, 44, 10, 13, 32] as const;
const maxTextBytes = 200;

/**
 * Reads a row without quotes, its cells in the order of the columns.
 * @returns where it ends (at the line end or the end of the bytes), or -1 for everything this reader does not take
 */
export function readCsvLine(
  fields: RecordFields,
  from: number,
  { columns, types }: { readonly columns: readonly UsageColumn[]; readonly types: readonly Uint8Array[] },
): number {
  let at = from;
  const last = columns.length - 1;
  for (let i = 0; i <= last; i++) {
    const end = endOfCell(fields.source, at);
    if (end <= at || !readCell(fields, columns[i], { from: at, end, types })) return -1;
    const byte = fields.source[end];
    if (i === last) return byte === comma ? -1 : end;
    if (byte !== comma) return -1;
    at = end + 1;
  }
  return -1;
}

/** Where a comma or a line end stands; -1 when the cell has quotes or control characters or is long. */
function endOfCell(bytes: Uint8Array, from: number): number {
  const limit = Math.min(bytes.length, from + maxTextBytes + 1);
  let at = from;
  for (; at < limit; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === comma || byte === lineFeed) return at;
    if (byte === carriageReturn) return at + 1 === bytes.length || bytes[at + 1] === lineFeed ? at : -1;
    if (byte === quote || byte < space) return -1;
  }
  return at === bytes.length ? at : -1;
}

function readCell(
  fields: RecordFields,
  column: UsageColumn | undefined,
  { from, end, types }: { readonly from: number; readonly end: number; readonly types: readonly Uint8Array[] },
): boolean {
  switch (column) {
    case 'subscription_id':
      fields.subscriptionAt = from;
      fields.subscriptionEnd = end;
      return true;
    case 'record_id':
      fields.recordAt = from;
      fields.recordEnd = end;
      return true;
    case 'usage_type':
      fields.type = readType(fields, types, [from, end]);
      return fields.type >= 0;
    case 'used_at':
      fields.usedAtMs = readInstant(fields.source, from, end);
      return !Number.isNaN(fields.usedAtMs);
    case 'used':
      return readUsed(fields, from, end);
    case 'price':
      return readPrice(fields, from, end);
    case undefined:
      return false;
  }
}

/** The cells of one line, quotes taken away; null when its quotes do not fit. */
export function cellsOf(line: string): string[] | null {
  if (!line.includes('"')) return line.split(',');
  const cells: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = cell.exec(line);
    if (match === null) return null;
    cells.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'));
    if (match[3] === '') return cells;
  }
}
