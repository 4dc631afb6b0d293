import { lowestIdAt, type OrderId } from '../../core/ids.ts';
import type { Instant, Month } from '../../core/time.ts';
import { startOfMonth } from '../../core/time.ts';

/** The last id there can be. An exclusive bound above it is not needed: no clock reaches its time bits. */
const endOfIds = 'ffffffff-ffff-ffff-ffff-ffffffffffff' as OrderId;
const startOfIds = '00000000-0000-0000-0000-000000000000' as OrderId;

export type Direction = 'newest' | 'oldest';

export interface IdSpan {
  /** Inclusive. */
  readonly from: OrderId;
  /** Exclusive. */
  readonly to: OrderId;
}

/** The ids of orders placed in [from, to). */
export const idSpan = (placedFrom: Instant | null, placedTo: Instant | null): IdSpan => ({
  from: placedFrom === null ? startOfIds : lowestIdAt(placedFrom),
  to: placedTo === null ? endOfIds : lowestIdAt(placedTo),
});

export const opposite = (direction: Direction): Direction => (direction === 'newest' ? 'oldest' : 'newest');

/** What remains of a span behind the last id of the page before. */
export function spanAfter(span: IdSpan, after: OrderId, direction: Direction): IdSpan {
  if (direction === 'newest') return { from: span.from, to: after < span.to ? after : span.to };
  const next = successorOf(after);
  return { from: next > span.from ? next : span.from, to: span.to };
}

/** The id that follows directly. */
const successorOf = (id: OrderId): OrderId => shifted(id, 1n);

/** The id directly in front of this one in a list: what lies behind it begins with this one. */
export const inFrontOf = (id: OrderId, direction: Direction): OrderId => shifted(id, direction === 'newest' ? 1n : -1n);

function shifted(id: OrderId, by: bigint): OrderId {
  const hex = (BigInt(`0x${id.replaceAll('-', '')}`) + by).toString(16).padStart(32, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}` as OrderId;
}

/** The hint in order and without repetition; it almost always is already. */
const ascending = (months: readonly Month[]): readonly Month[] =>
  months.every((month, i) => i === 0 || month > (months[i - 1] ?? month))
    ? months
    : [...new Set(months)].sort((a, b) => a - b);

// The list of months changes once a month; the bounds are asked for by every page.
const knownBounds = new WeakMap<readonly Month[], readonly OrderId[]>();

/** Where one month ends and the next begins. Before the first lies nothing: a window for it would cost a statement. */
function boundsOf(months: readonly Month[]): readonly OrderId[] {
  const known = knownBounds.get(months);
  if (known !== undefined) return known;
  const bounds = ascending(months)
    .slice(1)
    .map((month) => lowestIdAt(startOfMonth(month)));
  knownBounds.set(months, bounds);
  return bounds;
}

/**
 * Cuts a span into windows of months, nearest first, each twice as long as the one before: a page that the first months fill
 * never opens the hundreds of partitions behind them. `months` are only a hint: together the windows always cover the whole
 * span without overlap, so an outdated list of partitions costs time and never a row.
 * @param firstMonths length of the first window
 */
export function* windowsOf(
  span: IdSpan,
  { months, direction, firstMonths }: { months: readonly Month[]; direction: Direction; firstMonths: number },
): Generator<IdSpan> {
  if (span.from >= span.to) return;
  const bounds = boundsOf(months).filter((bound) => bound > span.from && bound < span.to);
  if (direction === 'newest') bounds.reverse();
  let edge = direction === 'newest' ? span.to : span.from;
  let width = firstMonths;
  for (let i = width - 1; i < bounds.length; i += width) {
    const bound = bounds[i] as OrderId;
    yield direction === 'newest' ? { from: bound, to: edge } : { from: edge, to: bound };
    edge = bound;
    width *= 2;
  }
  yield direction === 'newest' ? { from: span.from, to: edge } : { from: edge, to: span.to };
}
