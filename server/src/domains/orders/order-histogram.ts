import type { Currency } from '../../core/money.ts';
import { dayMs, type Instant, minuteMs } from '../../core/time.ts';
import type { OrderStatus } from './order-status.ts';

export const histogramIntervals = ['day', 'hour'] as const;
export type HistogramInterval = (typeof histogramIntervals)[number];

/** Hours and days in UTC have no exceptions. */
export const intervalMs: Readonly<Record<HistogramInterval, number>> = { hour: 60 * minuteMs, day: dayMs };

/** 416 days by the hour, 27 years by the day. */
export const maxHistogramIntervals = 10_000;
/** A row is an interval with a status and a currency: who has orders in dozens of currencies asks for less. */
export const maxHistogramRows = 50_000;

/** Orders of one interval, status and currency. */
export interface HistogramRow {
  /** The beginning of the interval, in UTC; the range may begin later. */
  readonly start: Instant;
  readonly status: OrderStatus;
  readonly currency: Currency;
  readonly orders: number;
  /** The sum of their totals in minor units; unlike one total it may pass 2^53. */
  readonly total: bigint;
}

/** How many intervals a range [from, to) touches. */
export function intervalsIn(from: Instant, to: Instant, interval: HistogramInterval): number {
  const ms = intervalMs[interval];
  return Math.max(0, Math.floor((to - 1) / ms) - Math.floor(from / ms) + 1);
}

/** Why a range cannot be shown, in words that follow its name; null when it can. */
export function faultOfRange(from: Instant, to: Instant, interval: HistogramInterval): string | null {
  if (to <= from) return 'must be later than placed_from';
  const count = intervalsIn(from, to, interval);
  if (count <= maxHistogramIntervals) return null;
  const [many, limit] = [count, maxHistogramIntervals].map((number) => number.toLocaleString('en'));
  const cure = interval === 'hour' ? 'ask for days, or for a shorter range' : 'ask for a shorter range';
  return `makes a range of ${many} ${interval}s, which may have ${limit}: ${cure}`;
}
