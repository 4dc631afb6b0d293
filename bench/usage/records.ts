import { createRandom } from '../../server/src/core/pseudo-random.ts';
import type { Keys } from './scale.ts';

const dayMs = 86_400_000;
const header = 'subscription_id,record_id,usage_type,used_at,used,price\n';

/** A CSV upload whose records get new ids each time it is sent. */
export interface Upload {
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
}): Upload[] {
  const random = createRandom(options.seed, 0);
  const uploads: Upload[] = [];
  for (let first = 0; first < options.rows; first += options.rowsEach)
    uploads.push(makeUpload(options.keys, { first, rows: options.rowsEach, seed: options.seed, random }));
  return uploads;
}

interface Cut {
  readonly first: number;
  readonly rows: number;
  readonly seed: number;
  readonly random: () => number;
}

function makeUpload(keys: Keys, { first, rows, seed, random }: Cut): Upload {
  const yesterday = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
  const places = new Uint32Array(rows);
  const lines: string[] = [header];
  let length = header.length;
  for (let i = 0; i < rows; i++) {
    const subscription = `SUB${String(Math.floor(random() * keys.subscriptions)).padStart(7, '0')},r${seed}-`;
    const usedAt = yesterday - Math.floor(random() * keys.days) * dayMs + Math.floor(random() * dayMs);
    const type = random() < 0.7 ? 'data' : 'voice';
    const used = Math.floor(random() * 100_000);
    const price = (Math.floor(random() * 10_000) / 10_000).toFixed(4);
    const line = `${subscription}0000-${first + i},${type},${new Date(usedAt).toISOString()},${used},${price}\n`;
    places[i] = length + subscription.length;
    length += line.length;
    lines.push(line);
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
