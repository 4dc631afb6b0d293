import type { Currency } from '../../core/money.ts';
import type { Instant } from '../../core/time.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { type HistogramInterval, maxHistogramRows } from './order-histogram.ts';
import type { OrderStatus } from './order-status.ts';
import type { IdSpan } from './order-walk.ts';
import type { OrderSelection } from './orders-queries.ts';

export interface HistogramSums {
  readonly start: Instant;
  readonly status: OrderStatus;
  readonly currency: Currency;
  readonly orders: bigint;
  /** A sum of bigint is numeric in PostgreSQL: text, so that nothing rounds it. */
  readonly total: string;
}

/**
 * Counts and sums by interval, status and currency, at most one row more than may be shown. The range is one of ids, so only
 * its months are opened. date_bin is exact for hours and days in UTC and, unlike date_trunc, asks no time zone.
 *
 * Materialised, because no statistics tell how few groups date_bin makes: asked for order or a limit directly, the planner
 * sorts all orders first (measured over 1 M: 620 ms, and 840 with files on disk, against 435 for one pass into a hash table).
 */
export function histogramOf(
  selection: OrderSelection,
  span: IdSpan,
  interval: HistogramInterval,
): Statement<HistogramSums> {
  const { customer, statuses } = selection;
  const byCustomer =
    customer === null
      ? sql``
      : sql`and o.customer_id = ${customer.id} and o.bucket = any(${customer.buckets}::smallint[])`;
  // In the text, so that the plan knows how rare they are.
  const byStatus =
    statuses.length === 0 ? sql`` : sql`and o.status in (${sql.join(statuses.map((status) => sql.lit(status)))})`;
  return dynamic(sql<HistogramSums>`
    with sums as materialized (
      select date_bin(${sql.lit(`1 ${interval}`)}::interval, o.placed_at, timestamptz '1970-01-01T00:00:00Z') as start, o.status, o.currency,
             count(*) as orders, sum(o.total_minor)::text as total
        from orders o
       where o.order_id >= ${span.from}::uuid and o.order_id < ${span.to}::uuid ${byCustomer} ${byStatus}
       group by 1, 2, 3)
    select * from sums order by start, status, currency limit ${sql.lit(maxHistogramRows + 1)}`);
}
