import { createRandom } from '../../server/src/core/pseudo-random.ts';
import type { Keys } from './scale.ts';

const dayMs = 86_400_000;
const header = 'subscription_id,record_id,usage_type,used_at,used,price\n';

/** An upload whose records get new ids each time it is sent. */
export interface UsageUpload {
  readonly bytes: Buffer;
  readonly rows: number;
  /** Writes the number of the pass, 0 to 9,999, into every record id. */
  number(pass: number): void;
}

const passDigits = 4;

/** Uploads made beforehand, so that sending them costs next to nothing. Of the same seed and keys they are the same. */
export function makeUploads(options: {
  readonly keys: Keys;
  readonly rows: number;
  readonly rowsEach: number;
  readonly seed: number;
  readonly format: 'csv' | 'ndjson';
}): UsageUpload[] {
  const { seed, format } = options;
  const random = createRandom(seed, 0);
  const uploads: UsageUpload[] = [];
  for (let first = 0; first < options.rows; first += options.rowsEach)
    uploads.push(makeUpload(options.keys, { first, rows: options.rowsEach, seed, random, format }));
  return uploads;
}

interface Cut {
  readonly first: number;
  readonly rows: number;
  readonly seed: number;
  readonly random: () => number;
  readonly format: 'csv' | 'ndjson';
}

interface UsageLine {
  readonly subscription: string;
  readonly type: string;
  readonly usedAt: string;
  readonly used: number;
  readonly price: string;
}

/** What stands before the number of the pass in a line, and what behind it. */
const linesOf = {
  csv: ({ subscription, type, usedAt, used, price }: UsageLine, seed: number, n: number) => [
    `${subscription},r${seed}-`,
    `-${n},${type},${usedAt},${used},${price}\n`,
  ],
  ndjson: ({ subscription, type, usedAt, used, price }: UsageLine, seed: number, n: number) => [
    `{"subscription_id":"${subscription}","record_id":"r${seed}-`,
    `-${n}","usage_type":"${type}","used_at":"${usedAt}","used":${used},"price":"${price}"}\n`,
  ],
} as const;

function makeUpload(keys: Keys, { first, rows, seed, random, format }: Cut): UsageUpload {
  const yesterday = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
  const places = new Uint32Array(rows);
  const head = format === 'csv' ? header : '';
  const lines: string[] = [head];
  let length = head.length;
  for (let i = 0; i < rows; i++) {
    const subscription = `SUB${String(Math.floor(random() * keys.subscriptions)).padStart(7, '0')}`;
    const usedAt = yesterday - Math.floor(random() * keys.days) * dayMs + Math.floor(random() * dayMs);
    const type = random() < 0.7 ? 'data' : 'voice';
    const used = Math.floor(random() * 100_000);
    const price = (Math.floor(random() * 10_000) / 10_000).toFixed(4);
    const record = { subscription, type, usedAt: new Date(usedAt).toISOString(), used, price };
    const [before = '', after = ''] = linesOf[format](record, seed, first + i);
    places[i] = length + before.length;
    length += before.length + passDigits + after.length;
    lines.push(before, '0'.repeat(passDigits), after);
  }
  const bytes = Buffer.from(lines.join(''), 'latin1');
  return {
    bytes,
    rows,
    number(pass) {
      const digits = Buffer.from(String(pass).padStart(passDigits, '0'), 'latin1');
      for (const place of places) for (let i = 0; i < passDigits; i++) bytes[place + i] = digits[i] ?? 0;
    },
  };
}
