import { type Day, startOfDay } from '../../core/days.ts';
import { createRandom } from '../../core/pseudo-random.ts';
import { dayMs } from '../../core/time.ts';

/** How made-up usage is spread. `hot`: few sums are added to again and again. `uniform`: millions of sums, each seldom. */
export type UsageSpread = 'hot' | 'uniform';

export const usageSpreads = {
  hot: { subscriptions: 2_000, days: 1 },
  uniform: { subscriptions: 200_000, days: 7 },
} as const satisfies Record<UsageSpread, { readonly subscriptions: number; readonly days: number }>;

export interface UsageGenerateOptions {
  /** The same options and seed make the same records: 0 .. 2^32 - 1. */
  readonly seed: number;
  readonly subscriptions: number;
  /** The last day with usage, and how many there are. */
  readonly lastDay: Day;
  readonly days: number;
}

/** Makes up records number `first` to `last` as CSV, the header included. */
export type UsageMaker = (first: number, last: number) => Buffer;

export const usageCsvHeader = 'record_id,subscription_id,usage_type,used_at,used,price\n';

const stretchRecords = 1_000;

/**
 * Records with their type, amount and price drawn by lot: data up to 1 GB for up to 10.00, voice up to an hour for up to 3.60.
 * Which record a number has depends on the options alone.
 */
export function createUsageMaker({ seed, subscriptions, lastDay, days }: UsageGenerateOptions): UsageMaker {
  const dayTexts = Array.from({ length: days }, (_, i) =>
    new Date(startOfDay((lastDay - days + 1 + i) as Day)).toISOString().slice(0, 10),
  );
  const width = String(subscriptions).length;
  const lineOf = (n: number, random: () => number): string => {
    const subscription = 1 + Math.floor(random() * subscriptions);
    const day = dayTexts[Math.floor(random() * days)];
    const ms = Math.floor(random() * dayMs);
    const isData = random() < 0.7;
    const used = 1 + Math.floor(random() ** 3 * (isData ? 1_048_576 : 3_600));
    const cents = isData ? Math.ceil(used / 1_049) : Math.ceil(used / 10);
    return (
      `g${seed}-${n},SUB${String(subscription).padStart(width, '0')},${isData ? 'data' : 'voice'},` +
      `${day}T${timeText(ms)}Z,${used},${Math.floor(cents / 100)}.${two(cents % 100)}\n`
    );
  };
  return (first, last) => {
    let text = usageCsvHeader;
    // A stretch has a stream of its own: whoever begins in the middle of it passes over what comes before.
    for (let stretch = Math.floor((first - 1) / stretchRecords); stretch * stretchRecords < last; stretch++) {
      const random = createRandom(seed, stretch);
      const end = Math.min(last, (stretch + 1) * stretchRecords);
      for (let n = stretch * stretchRecords + 1; n <= end; n++) {
        const line = lineOf(n, random);
        if (n >= first) text += line;
      }
    }
    return Buffer.from(text);
  };
}

const twoDigits = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, '0'));
const two = (n: number): string => twoDigits[n] ?? '';

const timeText = (ms: number): string => {
  const seconds = Math.floor(ms / 1_000);
  const hours = Math.floor(seconds / 3_600);
  return `${two(hours)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(ms % 1_000).padStart(3, '0')}`;
};
