import type { Day } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import type { BatchId, Decimal } from './usage.ts';

/** Which usage is read; null = all of it. */
export interface UsageSelection {
  /** UTC days, both included. */
  readonly days: { readonly from: Day; readonly to: Day } | null;
  readonly usageType: string | null;
  readonly subscriptionId: string | null;
}

/** How up to date an answer has to be. */
export interface Recency {
  /** Counts batches that are not rolled up yet, exactly. */
  readonly fresh: boolean;
  /** Waits for this batch first, `longestWaitMs` at most. */
  readonly waitFor: BatchId | null;
}

/** How long an answer waits for a batch. */
export const longestWaitMs = 5_000;

/** Where a sum stands in the order of sums. `day` only where they are by day. */
export interface SumKey {
  readonly subscriptionId: string;
  readonly usageType: string;
  readonly day: Day | null;
}

/** What was used of one type: never added to another type's. */
export interface UsageSum extends SumKey {
  readonly totalPrice: Decimal;
  /** In the unit of the type; a sum may pass 2^63. */
  readonly totalUsed: string;
  readonly records: bigint;
}

/** What a sum without usage looks like: all its records were deleted. */
export const isNothing = ({ records, totalUsed, totalPrice }: UsageSum): boolean =>
  records === 0n && totalUsed === '0' && totalPrice === '0.00';

export interface MetricsQuery extends Recency {
  readonly selection: UsageSelection & { readonly days: NonNullable<UsageSelection['days']> };
  readonly byDay: boolean;
}

/** A subscription that has reached the limit, with each type that did. */
export interface OverLimit {
  readonly subscriptionId: string;
  readonly exceeded: readonly {
    readonly usageType: string;
    readonly totalPrice: Decimal;
    /** total_price - price_limit, 0.00 or more */
    readonly exceededBy: Decimal;
  }[];
}

export interface OverLimitQuery extends Recency {
  readonly selection: UsageSelection;
  readonly priceLimit: Decimal;
}

/** A page, in the order of its keys' bytes. */
export interface UsagePage<Item, Key> {
  readonly items: readonly Item[];
  /** The key of the last item, where more may follow. */
  readonly next: Key | null;
  /** Everything acknowledged before it is counted. */
  readonly asOf: Instant;
}

/** The text of streamed sums. */
export type StreamFormat = 'ndjson' | 'csv';
