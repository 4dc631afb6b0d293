import type { OrderId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';

export interface LoggedStatus {
  readonly orderId: OrderId;
  readonly statusAt: Instant;
  readonly reason: string | null;
}

/**
 * Cancelled orders by their history alone, newest first: no copied column is read. The order of the inner select is that of
 * the primary key read backwards, so a page reads the histories it needs and no more.
 * @param span ids from (inclusive) to (exclusive)
 */
export const cancelledFromLog = (span: { from: OrderId; to: OrderId }, limit: number): Statement<LoggedStatus> =>
  dynamic(sql<LoggedStatus>`
    select latest.order_id as "orderId", latest.occurred_at as "statusAt", latest.reason
      from (select distinct on (s.order_id, s.bucket) s.order_id, s.bucket, s.status, s.occurred_at, s.reason
              from order_statuses s
             where s.order_id >= ${span.from}::uuid and s.order_id < ${span.to}::uuid
             order by s.order_id desc, s.bucket desc, s.occurred_at desc, s.seq desc) latest
     where latest.status = 'cancelled'
     order by latest.order_id desc
     limit ${limit}`);
