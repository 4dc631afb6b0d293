import { setTimeout as delay } from 'node:timers/promises';

/** Of one subscription and type: records, usage, price in millionths. */
type Amounts = readonly [bigint, bigint, bigint];

interface SumDocument {
  readonly subscription_id: string;
  readonly usage_type: string;
  readonly records: number;
  readonly total_used: string;
  readonly total_price: string;
}

export interface SumsSeen {
  answers: number;
  /** Answers that did not come: a server was killed, or 503. */
  missed: number;
  /** Sums that were looked at. */
  sums: number;
  /** Sums that were larger in an answer before. */
  readonly fell: string[];
}

export interface SumsWatch {
  stop(): Promise<SumsSeen>;
}

export interface SumsWatchOptions {
  /** The next server to ask. */
  readonly url: () => string;
  readonly apiKey: string;
  /** Days, both included. */
  readonly from: string;
  readonly to: string;
  readonly subscriptions: readonly string[];
}

const readers = 3;

/**
 * Readers of sums as the rollup has them, without `fresh`, of all subscriptions and of one in turn, from the servers in turn. What an
 * answer said before a question was asked, the answer to it must not fall below.
 */
export function watchSums(options: SumsWatchOptions): SumsWatch {
  const { from, to, subscriptions } = options;
  const seen: SumsSeen = { answers: 0, missed: 0, sums: 0, fell: [] };
  const largest = new Map<string, Amounts>();
  let isOver = false;
  const read = async (reader: number): Promise<void> => {
    for (let turn = reader; !isOver; turn++) {
      const one = turn % 2 === 0 ? null : (subscriptions[turn % subscriptions.length] ?? null);
      const before = new Map(one === null ? largest : [...largest].filter(([key]) => key.startsWith(`${one} `)));
      const only = one === null ? '' : `&subscription_id=${one}`;
      const items = await ask(options, `/api/v1/usage/metrics?from=${from}&to=${to}&limit=500${only}`);
      if (items === null) {
        seen.missed++;
        await delay(20);
        continue;
      }
      seen.answers++;
      seen.sums += items.size;
      for (const [key, former] of before) {
        const amounts = items.get(key);
        if (amounts === undefined || former.some((amount, i) => (amounts[i] ?? 0n) < amount))
          seen.fell.push(`${key}: ${former} and then ${amounts}`);
      }
      for (const [key, amounts] of items) largest.set(key, larger(largest.get(key) ?? amounts, amounts));
    }
  };
  const reading = Promise.all(Array.from({ length: readers }, (_, reader) => read(reader)));
  reading.catch(() => {});
  return {
    async stop() {
      isOver = true;
      await reading;
      return seen;
    },
  };
}

const larger = (a: Amounts, b: Amounts): Amounts => [max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])];
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** @returns the sums by subscription and type; null when there was no answer */
async function ask({ url, apiKey }: SumsWatchOptions, path: string): Promise<Map<string, Amounts> | null> {
  const headers = { authorization: `Bearer ${apiKey}` };
  const answer = await fetch(`${url()}${path}`, { headers }).catch(() => null);
  const text = await answer?.text().catch(() => null);
  if (answer === null || text == null || answer.status === 503) return null;
  if (answer.status !== 200) throw new Error(`${path} was answered with ${answer.status}: ${text}`);
  const { items, next_cursor: next } = JSON.parse(text) as {
    items: readonly SumDocument[];
    next_cursor: string | null;
  };
  if (next !== null) throw new Error(`${path} has more than one page.`);
  return new Map(
    items.map(({ subscription_id, usage_type, records, total_used, total_price }) => [
      `${subscription_id} ${usage_type}`,
      [BigInt(records), BigInt(total_used), millionths(total_price)],
    ]),
  );
}

function millionths(price: string): bigint {
  const [whole = '', fraction = ''] = price.split('.');
  return BigInt(whole + fraction.padEnd(6, '0'));
}
