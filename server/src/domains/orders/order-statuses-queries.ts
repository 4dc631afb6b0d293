import { bucketOfId, idBounds, type OrderId } from '../../core/ids.ts';
import { formatInstant } from '../../core/time.ts';
import { inBucket, type Statement, statement, statementByBucket, transpose } from '../../storage/sql.ts';
import type { StatusRow } from './order-status.ts';

const columns = `s.seq, s.status, s.occurred_at as "occurredAt", s.recorded_at as "recordedAt", s.reason, s.actor, s.event_key as "eventKey"`;

const selectHistory = statement<StatusRow, [OrderId]>(
  'history_of',
  `select ${columns} from order_statuses s where s.order_id = $1 and s.bucket = $2 order by s.seq`,
  (id) => [id, bucketOfId(id)],
);

/** The whole history of one order, oldest seq first. */
export const historyOf = (id: OrderId): Statement<StatusRow> => inBucket(selectHistory(id), bucketOfId(id));

export interface OwnedStatusRow extends StatusRow {
  readonly orderId: OrderId;
}

export const historiesOf = statement<OwnedStatusRow, [readonly OrderId[]]>(
  'histories_of',
  `select s.order_id as "orderId", ${columns} from order_statuses s
    where s.order_id = any($1::uuid[]) and s.bucket = any($2::smallint[]) order by s.order_id, s.seq`,
  (ids) => [ids, [...new Set(ids.map(bucketOfId))]],
);

export interface EventRef {
  readonly orderId: OrderId;
  readonly eventKey: string;
}

// The bounds name the months, as in updateOrderStates.
/** Rows that have one of these event keys. Asked after the orders are locked, in a statement of its own, so it sees what others committed. */
export const knownEvents = statementByBucket<OwnedStatusRow, [readonly EventRef[]]>(
  'known_events',
  (only) => `select s.order_id as "orderId", ${columns}
     from unnest($1::uuid[], $2::smallint[], $3::text[]) as u (order_id, bucket, event_key)
     join order_statuses s on s.order_id = u.order_id and s.bucket = u.bucket and s.event_key = u.event_key
      and s.order_id between $4::uuid and $5::uuid${only}`,
  {
    ...{ column: 's.bucket', at: 1 },
    values: (events) => [
      ...transpose(
        events.map((e) => [e.orderId, bucketOfId(e.orderId), e.eventKey]),
        3,
      ),
      ...idBounds(events.map(({ orderId }) => orderId)),
    ],
  },
);

/** Values of one row in the order of `copyStatuses`. */
export type StatusValues = readonly (string | number | null)[];

export const statusValues = (orderId: OrderId, row: StatusRow): StatusValues => [
  orderId,
  bucketOfId(orderId),
  row.seq,
  row.status,
  formatInstant(row.occurredAt),
  formatInstant(row.recordedAt),
  row.reason,
  row.actor,
  row.eventKey,
];

export const asTheyAre = (values: StatusValues): StatusValues => values;

export const copyStatuses =
  'copy order_statuses (order_id, bucket, seq, status, occurred_at, recorded_at, reason, actor, event_key) from stdin';

// DO NOTHING for the same reason as in insertOrders; for events the order's row lock has settled who writes which seq.
export const insertStatuses = statement<{ orderId: OrderId; seq: number }, [readonly StatusValues[]]>(
  'insert_statuses',
  `insert into order_statuses (order_id, bucket, seq, status, occurred_at, recorded_at, reason, actor, event_key)
   select * from unnest($1::uuid[], $2::smallint[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::text[], $9::text[])
   on conflict do nothing returning order_id as "orderId", seq`,
  (rows) => transpose(rows, 9),
);
