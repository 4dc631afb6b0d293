import type { Bucket } from '../../core/bucket.ts';
import type { OrderId } from '../../core/ids.ts';
import { bucketOfId, idBounds, timeOfId } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import { formatInstant } from '../../core/time.ts';
import { parseTimestamptz } from '../../storage/pg-types.ts';
import {
  dynamic,
  inBucket,
  prepared,
  type RowTexts,
  type Statement,
  sql,
  statement,
  statementByBucket,
  transpose,
  withRows,
} from '../../storage/sql.ts';
import type { Order } from './order.ts';
import type { OrderStatus, StatusState } from './order-status.ts';

// placed_at is in the id.
const columns = `o.order_id as "orderId", o.customer_id, o.order_number, o.currency, o.total_minor, o.items::text, o.status, o.status_at,
  o.reason, o.last_seq`;

/** An order of the texts of `columns`. */
function orderOf(texts: RowTexts): Order {
  const [orderId, customerId, orderNumber, currency, total, itemsJson, status, statusAt, reason, lastSeq] = texts;
  return {
    orderId: orderId as OrderId,
    customerId: customerId as string,
    orderNumber: orderNumber ?? null,
    placedAt: timeOfId(orderId as OrderId),
    currency: currency as Currency,
    total: Number(total),
    itemsJson: itemsJson as string,
    status: status as OrderStatus,
    statusAt: parseTimestamptz(statusAt as string),
    reason: reason ?? null,
    version: Number(lastSeq),
  };
}

const selectOrder = statement<unknown, [OrderId]>(
  'order_by_id',
  `select ${columns} from orders o where o.order_id = $1 and o.bucket = $2`,
  (id) => [id, bucketOfId(id)],
);

export const orderById = (id: OrderId): Statement<Order> =>
  inBucket(withRows(selectOrder(id), orderOf), bucketOfId(id));

/** A row to be written: the order, its home and the state its history gives it. */
export interface OrderInsert {
  readonly order: Order;
  readonly bucket: Bucket;
  readonly state: StatusState;
}

// DO NOTHING: the ids are our own, so the only row that can be there is this one, written by the same transaction run before.
export const insertOrders = statement<{ orderId: OrderId }, [readonly OrderInsert[]]>(
  'insert_orders',
  `insert into orders (order_id, bucket, customer_id, order_number, placed_at, currency, total_minor, items, status, status_at, status_seq, last_seq, reason)
   select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::bigint[], $8::jsonb[],
     $9::text[], $10::timestamptz[], $11::int[], $12::int[], $13::text[])
   on conflict do nothing returning order_id as "orderId"`,
  (rows) => transpose(rows.map(orderValues), 13),
);

export const copyOrders =
  'copy orders (order_id, bucket, customer_id, order_number, placed_at, currency, total_minor, items, status, status_at, status_seq, last_seq, reason) from stdin';

/** The values of one row in the order of the columns above. */
export function orderValues({ order, bucket, state }: OrderInsert): (string | number | null)[] {
  return [
    order.orderId,
    bucket,
    order.customerId,
    order.orderNumber,
    formatInstant(order.placedAt),
    order.currency,
    order.total,
    order.itemsJson,
    state.status,
    formatInstant(state.statusAt),
    state.statusSeq,
    state.lastSeq,
    state.reason,
  ];
}

export interface LockedOrder extends StatusState {
  readonly orderId: OrderId;
}

/** Locks orders in the order of their ids, so that two writers never wait for each other crosswise. */
export const lockOrders = statement<LockedOrder, [readonly OrderId[]]>(
  'lock_orders',
  `select o.order_id as "orderId", o.status, o.status_at as "statusAt", o.status_seq as "statusSeq", o.last_seq as "lastSeq", o.reason
     from orders o
    where o.order_id = any($1::uuid[]) and o.bucket = any($2::smallint[])
    order by o.order_id
      for update`,
  (ids) => [ids, [...new Set(ids.map(bucketOfId))]],
);

export interface OrderStateUpdate extends StatusState {
  readonly orderId: OrderId;
}

// The bounds name the months: a node of Citus plans the statement for its values, for 28 partitions otherwise.
export const updateOrderStates = statementByBucket<{ orderId: OrderId }, [readonly OrderStateUpdate[]]>(
  'update_order_states',
  (only) => `update orders o
      set status = u.status, status_at = u.status_at, status_seq = u.status_seq, last_seq = u.last_seq, reason = u.reason
     from unnest($1::uuid[], $2::smallint[], $3::text[], $4::timestamptz[], $5::int[], $6::int[], $7::text[])
       as u (order_id, bucket, status, status_at, status_seq, last_seq, reason)
    where o.order_id = u.order_id and o.bucket = u.bucket and o.order_id between $8::uuid and $9::uuid${only}
   returning o.order_id as "orderId"`,
  {
    ...{ column: 'o.bucket', at: 1 },
    values: (rows) => [
      ...transpose(
        rows.map((r) => [
          r.orderId,
          bucketOfId(r.orderId),
          r.status,
          formatInstant(r.statusAt),
          r.statusSeq,
          r.lastSeq,
          r.reason,
        ]),
        7,
      ),
      ...idBounds(rows.map(({ orderId }) => orderId)),
    ],
  },
);

/** Which of these orders exist: for work that runs again after its commit was lost from sight. */
export const existingOrders = statement<{ orderId: OrderId }, [readonly OrderId[]]>(
  'existing_orders',
  `select order_id as "orderId" from orders where order_id = any($1::uuid[]) and bucket = any($2::smallint[])`,
  (ids) => [ids, [...new Set(ids.map(bucketOfId))]],
);

/** What a list selects by. `customer` comes with every bucket its rows may stand in. */
export interface OrderSelection {
  readonly statuses: readonly OrderStatus[];
  readonly customer: { readonly id: string; readonly buckets: readonly Bucket[] } | null;
}

/** Ids from (inclusive) to (exclusive), read in one direction. */
export interface IdRange {
  readonly from: OrderId;
  readonly to: OrderId;
  readonly direction: 'newest' | 'oldest';
}

const ordering = (range: IdRange) =>
  range.direction === 'newest' ? sql`order by o.order_id desc` : sql`order by o.order_id`;

const conditions = (selection: OrderSelection, range: IdRange, status: OrderStatus | null) => {
  const customer =
    selection.customer === null
      ? sql``
      : sql`and o.customer_id = ${selection.customer.id} and o.bucket = any(${selection.customer.buckets}::smallint[])`;
  // In the text, so that the plan knows how rare the status is.
  const byStatus = status === null ? sql`` : sql`and o.status = ${sql.lit(status)}`;
  return sql`o.order_id >= ${range.from}::uuid and o.order_id < ${range.to}::uuid ${customer} ${byStatus}`;
};

/** One ordered sub-query a status, merged: the index on (status, order_id) gives each in order, a list of statuses would not. */
function ordered(selection: OrderSelection, range: IdRange, what: { columns: string; limit: number }) {
  const statuses = selection.statuses.length === 0 ? [null] : selection.statuses;
  const parts = statuses.map(
    (status) =>
      sql`(select ${sql.raw(what.columns)} from orders o where ${conditions(selection, range, status)} ${ordering(range)} limit ${sql.lit(what.limit)})`,
  );
  return sql.join(parts, sql` union all `);
}

// The limit stands in the text, so that the plan knows that few rows are read; few limits make few texts.
const limits = [11, 51, 101, 251, 501] as const;

/** At least `rows` rows of the list where there are so many, at most 501; the caller cuts off what it did not ask for. */
export function ordersPage(selection: OrderSelection, range: IdRange, rows: number): Statement<Order> {
  const limit = limits.find((candidate) => candidate >= rows) ?? limits[limits.length - 1] ?? rows;
  const direction = range.direction === 'newest' ? sql`desc` : sql`asc`;
  const rowsInOrder = ordered(selection, range, { columns, limit });
  const page =
    selection.statuses.length <= 1
      ? rowsInOrder
      : sql`select * from (${rowsInOrder}) page order by "orderId" ${direction} limit ${sql.lit(limit)}`;
  const statement = withRows(prepared(page), orderOf);
  const [bucket, ...others] = selection.customer?.buckets ?? [];
  return bucket === undefined || others.length > 0 ? statement : inBucket(statement, bucket);
}

/** The id of the row that stands `offset` rows into the list: where page N begins. */
export function orderIdAt(selection: OrderSelection, range: IdRange, offset: number): Statement<{ orderId: OrderId }> {
  const direction = range.direction === 'newest' ? sql`desc` : sql`asc`;
  const source = ordered(selection, range, { columns: 'o.order_id as "orderId"', limit: offset + 1 });
  return dynamic(
    sql<{
      orderId: OrderId;
    }>`select "orderId" from (${source}) page order by "orderId" ${direction} offset ${offset} limit 1`,
  );
}

/** Counts at most `cap` rows. */
export function countOrders(selection: OrderSelection, range: IdRange, cap: number): Statement<{ count: bigint }> {
  const source = ordered(selection, range, { columns: '1 as one', limit: cap });
  return dynamic(
    sql<{ count: bigint }>`select count(*) as count from (select 1 from (${source}) rows limit ${cap}) counted`,
  );
}
