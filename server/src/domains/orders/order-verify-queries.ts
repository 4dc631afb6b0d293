import type { Bucket } from '../../core/bucket.ts';
import type { OrderId } from '../../core/ids.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import type { IdSpan } from './order-walk.ts';

/** The id that stands `rows` orders behind the beginning of the span: where a window ends. */
export const windowEnd = ({ from, to }: IdSpan, rows: number): Statement<{ orderId: OrderId }> =>
  dynamic(sql<{ orderId: OrderId }>`
    select o.order_id as "orderId" from orders o
     where o.order_id >= ${from}::uuid and o.order_id < ${to}::uuid order by o.order_id offset ${rows} limit 1`);

export const countWindow = ({ from, to }: IdSpan): Statement<{ orders: bigint; statuses: bigint }> =>
  dynamic(sql<{ orders: bigint; statuses: bigint }>`
    select o.orders, s.statuses
      from (select count(*) as orders from orders where order_id >= ${from}::uuid and order_id < ${to}::uuid) o,
           (select count(*) as statuses from order_statuses where order_id >= ${from}::uuid and order_id < ${to}::uuid) s`);

export type OrderDifferenceKind = 'status_differs' | 'order_without_history' | 'history_without_order';

export interface OrderDifference {
  readonly kind: OrderDifferenceKind;
  readonly orderId: OrderId;
}

/** Orders of a span whose copied state is not what their history says, in one statement and so at one moment. */
export const differencesIn = ({ from, to }: IdSpan): Statement<OrderDifference> =>
  dynamic(sql<OrderDifference>`
    select coalesce(o.order_id, l.order_id) as "orderId",
           case when o.order_id is null then 'history_without_order'
                when l.order_id is null then 'order_without_history'
                else 'status_differs' end as kind
      from (select order_id, bucket, status, status_at, status_seq, last_seq, reason
              from orders where order_id >= ${from}::uuid and order_id < ${to}::uuid) o
      full join
           (select distinct on (s.order_id, s.bucket) s.order_id, s.bucket, s.status, s.occurred_at, s.seq, s.reason,
                   max(s.seq) over (partition by s.order_id, s.bucket) as last_seq
              from order_statuses s
             where s.order_id >= ${from}::uuid and s.order_id < ${to}::uuid
             order by s.order_id, s.bucket, s.occurred_at desc, s.seq desc) l
        on l.order_id = o.order_id and l.bucket = o.bucket
     where o.order_id is null or l.order_id is null
        or o.status <> l.status or o.status_at <> l.occurred_at or o.status_seq <> l.seq or o.last_seq <> l.last_seq
        or o.reason is distinct from l.reason
     order by 1`);

export interface KeyPlace {
  readonly bucket: Bucket;
  readonly customerId: string;
  readonly kind: string;
  readonly key: string;
  readonly orderId: OrderId;
}

/** Keys in the order of their primary key, behind `after`. */
export function keysAfter(after: KeyPlace | null, limit: number): Statement<KeyPlace> {
  const behind =
    after === null
      ? sql``
      : sql`where (k.bucket, k.customer_id, k.kind, k.key) > (${after.bucket}::smallint, ${after.customerId}, ${after.kind}, ${after.key})`;
  return dynamic(sql<KeyPlace>`
    select k.bucket, k.customer_id as "customerId", k.kind, k.key, k.order_id as "orderId" from order_keys k ${behind}
     order by k.bucket, k.customer_id, k.kind, k.key limit ${limit}`);
}

interface Explained {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: { readonly 'Plan Rows': number } }];
}

type CountedTable = 'orders' | 'order_keys';

/** Counts at most `cap` rows. */
export const countUpTo = (table: CountedTable, cap: number): Statement<{ rows: number }> =>
  dynamic(sql<{ rows: number }>`
    select count(*)::float8 as rows from (select 1 from ${sql.raw(table)} limit ${cap}) counted`);

/** How many rows the planner expects: it looks at the files, so that tables never analysed are guessed well enough. */
export const explainRows = (table: CountedTable): Statement<Explained> => ({
  text: `explain (format json) select from ${table}`,
  values: [],
});

export const plannedRows = ([explained]: readonly Explained[]): number =>
  explained?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0;
