import { type Statement, statement } from '../sql.ts';
import type { Transaction } from '../transaction.ts';

/** The channel of LISTEN and NOTIFY on which servers tell each other what changed. */
export const changesChannel = 'milliard_changes';

// PostgreSQL takes less than 8,000 bytes a message.
const maxPayloadBytes = 7_900;

const notify = statement<unknown, [readonly string[]]>(
  'announce_changes',
  `select pg_notify('${changesChannel}', payload) from unnest($1::text[]) payload`,
  (payloads) => [payloads],
);

/**
 * Tells every server that these entries of a cache are out of date, **in the transaction that changes them**: the message is sent
 * if and when that commits, whatever dies at which moment.
 * @param change name of the cache, and keys: texts under 2,000 characters
 */
export async function announceChanges(
  tx: Pick<Transaction, 'run'>,
  { cache, keys }: { readonly cache: string; readonly keys: readonly string[] },
): Promise<void> {
  if (keys.length > 0) await tx.run(notify(payloadsOf(cache, [...new Set(keys)])));
}

/** A message that changes nothing: who hears it has heard all that was sent before it. */
export const announceEcho = (echo: string): Statement<unknown> => notify([JSON.stringify(['', echo])]);

/** What a message says. */
export type Announcement =
  | { readonly kind: 'changes'; readonly cache: string; readonly keys: readonly string[] }
  | { readonly kind: 'echo'; readonly echo: string };

/** Reads a message; null for one that nobody of ours sent. */
export function parseAnnouncement(payload: string): Announcement | null {
  try {
    const words: unknown = JSON.parse(payload);
    if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) return null;
    const [cache = '', ...keys] = words as string[];
    return cache === '' ? { kind: 'echo', echo: keys[0] ?? '' } : { kind: 'changes', cache, keys };
  } catch {
    return null;
  }
}

/** As few messages as their size allows. */
export function payloadsOf(cache: string, keys: readonly string[]): string[] {
  const start = `[${JSON.stringify(cache)}`;
  const payloads: string[] = [];
  let payload = start;
  let bytes = start.length;
  for (const key of keys) {
    const word = `,${JSON.stringify(key)}`;
    const wordBytes = Buffer.byteLength(word);
    if (bytes + wordBytes >= maxPayloadBytes && payload !== start) {
      payloads.push(`${payload}]`);
      payload = start;
      bytes = start.length;
    }
    payload += word;
    bytes += wordBytes;
  }
  return [...payloads, `${payload}]`];
}
