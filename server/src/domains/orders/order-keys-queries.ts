import type { Bucket } from '../../core/bucket.ts';
import type { OrderId } from '../../core/ids.ts';
import { inBucket, type Statement, statement, statementByBucket, transpose } from '../../storage/sql.ts';
import type { OrderKeyKind, PlacedKey } from './order.ts';

export interface OrderKeyInsert extends PlacedKey {
  readonly orderId: OrderId;
  /** Hexadecimal. */
  readonly contentHash: string;
}

/** Values of one row in the order of `copyOrderKeys`; a bytea is `\x…` in text. */
export const keyValues = (row: OrderKeyInsert): (string | number)[] => [
  row.bucket,
  row.customerId,
  row.kind,
  row.key,
  row.orderId,
  `\\x${row.contentHash}`,
];

export const copyOrderKeys = 'copy order_keys (bucket, customer_id, kind, key, order_id, content_hash) from stdin';

/** Claims keys; returns the order ids whose keys were free. Never trust the row count (Citus). */
export const insertOrderKeys = statement<{ orderId: OrderId }, [readonly OrderKeyInsert[]]>(
  'insert_order_keys',
  `insert into order_keys (bucket, customer_id, kind, key, order_id, content_hash)
   select * from unnest($1::smallint[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bytea[])
   on conflict do nothing returning order_id as "orderId"`,
  (rows) => transpose(rows.map(keyValues), 6),
);

export interface OrderKeyRow {
  readonly bucket: Bucket;
  readonly customerId: string;
  readonly kind: OrderKeyKind;
  readonly key: string;
  readonly orderId: OrderId;
  /** Hexadecimal. */
  readonly contentHash: string;
}

const columns = `k.bucket, k.customer_id as "customerId", k.kind, k.key, k.order_id as "orderId", encode(k.content_hash, 'hex') as "contentHash"`;

const selectOneKey = statement<OrderKeyRow, [PlacedKey]>(
  'order_key',
  `select ${columns} from order_keys k where k.bucket = $1 and k.customer_id = $2 and k.kind = $3 and k.key = $4`,
  (key) => [key.bucket, key.customerId, key.kind, key.key],
);

const selectManyKeys = statementByBucket<OrderKeyRow, [readonly PlacedKey[]]>(
  'order_keys',
  (only) => `select ${columns}
     from unnest($1::smallint[], $2::text[], $3::text[], $4::text[]) as u (bucket, customer_id, kind, key)
     join order_keys k on k.bucket = u.bucket and k.customer_id = u.customer_id and k.kind = u.kind and k.key = u.key${only}`,
  {
    ...{ column: 'k.bucket', at: 0 },
    values: (keys) =>
      transpose(
        keys.map((k) => [k.bucket, k.customerId, k.kind, k.key]),
        4,
      ),
  },
);

/** What stands under these keys. One key is asked for without a join, which a node of Citus plans in half the time. */
export function selectOrderKeys(keys: readonly PlacedKey[]): Statement<OrderKeyRow> {
  const [key, ...others] = keys;
  return key === undefined || others.length > 0 ? selectManyKeys(keys) : inBucket(selectOneKey(key), key.bucket);
}
