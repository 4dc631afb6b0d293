import { DomainError } from '../../core/errors.ts';
import type { Instant } from '../../core/time.ts';
import type { OrderErrorCode } from './order-errors.ts';
import { type HistogramInterval, type HistogramRow, maxHistogramRows } from './order-histogram.ts';
import { histogramOf } from './order-histogram-queries.ts';
import { type OrderReadDeps, selectionOf } from './order-read-service.ts';
import type { OrderStatus } from './order-status.ts';
import { idSpan } from './order-walk.ts';

export interface HistogramRequest {
  /** Empty: all. */
  readonly statuses: readonly OrderStatus[];
  readonly customerId: string | null;
  /** [placedFrom, placedTo); `faultOfRange` says whether it is short enough. */
  readonly placedFrom: Instant;
  readonly placedTo: Instant;
  readonly interval: HistogramInterval;
}

/**
 * Counts and totals of orders by interval, status and currency, in that order; intervals without orders have no rows. Reads
 * every order of the range once, in one statement.
 * @throws DomainError `histogram_too_large` when it would have more than 50,000 rows
 */
export async function readHistogram(
  deps: Pick<OrderReadDeps, 'db' | 'layouts'>,
  { placedFrom, placedTo, interval, ...selected }: HistogramRequest,
): Promise<HistogramRow[]> {
  const selection = selectionOf(deps, selected);
  const rows = await deps.db.query(histogramOf(selection, idSpan(placedFrom, placedTo), interval));
  if (rows.length > maxHistogramRows) {
    const limit = maxHistogramRows.toLocaleString('en');
    const cure = 'Ask for days, for a shorter range, or for fewer statuses.';
    throw new DomainError<OrderErrorCode>(
      'histogram_too_large',
      `The answer would have more than ${limit} rows. ${cure}`,
    );
  }
  return rows.map(({ orders, total, ...row }) => ({ ...row, orders: Number(orders), total: BigInt(total) }));
}
