import type { Bucket } from '../../core/bucket.ts';
import type { ShipmentId } from '../../core/ids.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import type { CopyValue } from '../../storage/copy.ts';
import { type Statement, statement, statementByBucket, transpose, withRows } from '../../storage/sql.ts';
import { type Address, type Article, articleKeyOf, cityKey, type Shipment, type ShipmentEvent } from './shipment.ts';
import { eventColumns, eventOf, shipmentColumns, shipmentOf } from './shipment-columns-queries.ts';
import type { PlacedShipment } from './shipment-placement.ts';
import type { StatusState } from './shipment-status.ts';
import { bucketOfShipment, type ShipmentKey } from './tracking-key.ts';

const shipmentTypes = {
  tracking_key: 'text',
  carrier_key: 'text',
  bucket: 'smallint',
  shipment_id: 'uuid',
  carrier: 'text',
  tracking_number: 'text',
  sender_address: 'text',
  sender_street: 'text',
  sender_postal_code: 'text',
  sender_city: 'text',
  sender_country: 'text',
  receiver_address: 'text',
  receiver_street: 'text',
  receiver_postal_code: 'text',
  receiver_city: 'text',
  receiver_country: 'text',
  receiver_city_key: 'text',
  currency: 'text',
  order_id: 'uuid',
  expected_on: 'date',
  status: 'text',
  status_code: 'text',
  status_at: 'timestamptz',
  status_seq: 'int',
  last_seq: 'int',
  moved_at: 'timestamptz',
  imported_status: 'text',
  content_hash: 'bytea',
  version: 'int',
  created_at: 'timestamptz',
  updated_at: 'timestamptz',
} as const;

const columnsOf = (types: object): string => Object.keys(types).join(', ');
const arraysOf = (types: object): string =>
  Object.values(types)
    .map((type, i) => `$${i + 1}::${type}[]`)
    .join(', ');

const addressValues = (address: Address | null): CopyValue[] =>
  address === null
    ? [null, null, null, null, null]
    : [address.address, address.street, address.postalCode, address.city, address.country];

/** A row of `shipments`: its articles and events are rows of their own. */
export interface ShipmentToStore extends Omit<PlacedShipment, 'shipment'> {
  readonly shipment: Shipment;
}

/** The values of one row in the order of `copyShipments`. */
export function shipmentValues({ shipment, bucket, contentHash, importedStatus }: ShipmentToStore): CopyValue[] {
  const { sender, receiver, decidedBy } = shipment;
  return [
    shipment.trackingKey,
    shipment.carrierKey,
    bucket,
    shipment.shipmentId,
    shipment.carrier,
    shipment.trackingNumber,
    ...addressValues(sender),
    ...addressValues(receiver),
    receiver?.city == null ? null : cityKey(receiver.city),
    shipment.currency,
    shipment.orderId,
    shipment.expectedOn,
    shipment.status,
    decidedBy?.code ?? null,
    decidedBy === null ? null : formatInstant(decidedBy.occurredAt),
    decidedBy?.seq ?? null,
    shipment.lastSeq,
    formatInstant(shipment.movedAt),
    importedStatus,
    contentHash === null ? null : `\\x${contentHash}`,
    shipment.version,
    formatInstant(shipment.createdAt),
    formatInstant(shipment.updatedAt),
  ];
}

export const copyShipments = `copy shipments (${columnsOf(shipmentTypes)}) from stdin`;

/** Claims keys; returns the ids of the shipments whose keys were free. Never trust the row count (Citus). */
export const insertShipments = statement<{ shipmentId: ShipmentId }, [readonly PlacedShipment[]]>(
  'insert_shipments',
  `insert into shipments (${columnsOf(shipmentTypes)}) select * from unnest(${arraysOf(shipmentTypes)})
   on conflict do nothing returning shipment_id as "shipmentId"`,
  (rows) => transpose(rows.map(shipmentValues), Object.keys(shipmentTypes).length),
);

export interface StoredKey extends ShipmentKey {
  readonly shipmentId: ShipmentId;
  /** Hexadecimal; null for one that came with a file. */
  readonly contentHash: string | null;
}

/** What stands under these keys. */
export const storedKeys = statementByBucket<StoredKey, [readonly ShipmentKey[]]>(
  'stored_shipment_keys',
  (only) => `select s.tracking_key as "trackingKey", s.carrier_key as "carrierKey", s.shipment_id as "shipmentId",
          encode(s.content_hash, 'hex') as "contentHash"
     from unnest($1::text[], $2::text[], $3::smallint[]) as u (tracking_key, carrier_key, bucket)
     join shipments s on s.tracking_key = u.tracking_key and s.carrier_key = u.carrier_key and s.bucket = u.bucket${only}`,
  { column: 's.bucket', at: 2, values: (keys) => keyArrays(keys) },
);

/** A row that belongs to a shipment. */
export interface Owned<Row> {
  readonly key: ShipmentKey;
  readonly bucket: Bucket;
  readonly row: Row;
}

const keyValues = ({ key, bucket }: Omit<Owned<unknown>, 'row'>): CopyValue[] => [
  key.trackingKey,
  key.carrierKey,
  bucket,
];

const articleTypes = {
  tracking_key: 'text',
  carrier_key: 'text',
  bucket: 'smallint',
  article_key: 'text',
  position: 'int',
  name: 'text',
  quantity: 'int',
  unit_price_minor: 'bigint',
  sku: 'text',
} as const;

/** An article and its place among the shipment's articles, from 1 on. */
export type PlacedArticle = Article & { readonly position: number };

/** The values of one row in the order of `copyArticles`. */
export const articleValues = (owned: Owned<PlacedArticle>): CopyValue[] => {
  const { row } = owned;
  return [...keyValues(owned), articleKeyOf(row), row.position, row.name, row.quantity, row.unitPrice, row.sku];
};

export const copyArticles = `copy shipment_articles (${columnsOf(articleTypes)}) from stdin`;

// DO NOTHING: only the same transaction, run before, can have written them; whose shipment was free has no articles.
export const insertArticles = statement<object, [readonly Owned<PlacedArticle>[]]>(
  'insert_shipment_articles',
  `insert into shipment_articles (${columnsOf(articleTypes)}) select * from unnest(${arraysOf(articleTypes)})
   on conflict do nothing`,
  (rows) => transpose(rows.map(articleValues), Object.keys(articleTypes).length),
);

const eventTypes = {
  tracking_key: 'text',
  carrier_key: 'text',
  bucket: 'smallint',
  seq: 'int',
  code: 'text',
  status: 'text',
  new_leg: 'boolean',
  occurred_at: 'timestamptz',
  recorded_at: 'timestamptz',
  description: 'text',
  city: 'text',
  country: 'text',
  actor: 'text',
} as const;

/** The values of one row in the order of `copyEvents`. */
export const eventValues = (owned: Owned<ShipmentEvent>): CopyValue[] => {
  const { row } = owned;
  return [
    ...keyValues(owned),
    row.seq,
    row.code,
    row.status,
    row.newLeg ? 't' : 'f',
    formatInstant(row.occurredAt),
    formatInstant(row.recordedAt),
    row.description,
    row.city,
    row.country,
    row.actor,
  ];
};

export const copyEvents = `copy shipment_events (${columnsOf(eventTypes)}) from stdin`;

// DO NOTHING for the same reason: the lock of the shipment's row has settled which events there are.
export const insertEvents = statement<object, [readonly Owned<ShipmentEvent>[]]>(
  'insert_shipment_events',
  `insert into shipment_events (${columnsOf(eventTypes)}) select * from unnest(${arraysOf(eventTypes)})
   on conflict do nothing`,
  (rows) => transpose(rows.map(eventValues), Object.keys(eventTypes).length),
);

const keyArrays = (keys: readonly ShipmentKey[]): unknown[][] =>
  transpose(
    keys.map((key) => [key.trackingKey, key.carrierKey, bucketOfShipment(key)]),
    3,
  );

/** Numbers and buckets instead of whole keys: the same number at another carrier may come along. */
const numbersAndBuckets = (keys: readonly ShipmentKey[]): unknown[] => [
  [...new Set(keys.map(({ trackingKey }) => trackingKey))],
  [...new Set(keys.map(bucketOfShipment))],
];

// Two arrays, not a join: FOR UPDATE of a join does not run over the shards of one node.
const selectLocked = statement<unknown, [readonly ShipmentKey[]]>(
  'lock_shipments',
  `select ${shipmentColumns} from shipments s
    where s.tracking_key = any($1::text[]) and s.bucket = any($2::smallint[])
    order by s.tracking_key, s.carrier_key
      for update`,
  numbersAndBuckets,
);

/** Locks shipments in the order of their keys, so that two writers never wait for each other crosswise. May lock a few more. */
export const lockShipments = (keys: readonly ShipmentKey[]): Statement<Shipment> =>
  withRows(selectLocked(keys), shipmentOf);

export interface OwnedEvent extends ShipmentKey {
  readonly event: ShipmentEvent;
}

const selectEvents = statement<unknown, [readonly ShipmentKey[]]>(
  'events_of_shipments',
  `select ${eventColumns}, e.tracking_key, e.carrier_key from shipment_events e
    where e.tracking_key = any($1::text[]) and e.bucket = any($2::smallint[])
    order by e.seq`,
  numbersAndBuckets,
);

const eventColumnCount = eventColumns.split(',').length;

/**
 * All events of these shipments in the order of seq; may bring those of a few more. Asked after the shipments are locked, in a
 * statement of its own, so that it sees what others committed.
 */
export const eventsOfShipments = (keys: readonly ShipmentKey[]): Statement<OwnedEvent> =>
  withRows(selectEvents(keys), (texts) => ({
    event: eventOf(texts),
    trackingKey: texts[eventColumnCount] as string,
    carrierKey: texts[eventColumnCount + 1] as string,
  }));

export interface StateUpdate extends StatusState, ShipmentKey {
  readonly version: number;
  readonly updatedAt: Instant;
}

/** Writes what the events say. The rows are locked: `version` and `updatedAt` were read then. */
export const updateStates = statementByBucket<ShipmentKey, [readonly StateUpdate[]]>(
  'update_shipment_states',
  (only) => `update shipments s
      set status = u.status, status_code = u.status_code, status_at = u.status_at, status_seq = u.status_seq,
          last_seq = u.last_seq, moved_at = u.moved_at, version = u.version, updated_at = u.updated_at
     from unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::timestamptz[], $7::int[], $8::int[],
          $9::timestamptz[], $10::int[], $11::timestamptz[])
       as u (tracking_key, carrier_key, bucket, status, status_code, status_at, status_seq, last_seq, moved_at, version, updated_at)
    where s.tracking_key = u.tracking_key and s.carrier_key = u.carrier_key and s.bucket = u.bucket${only}
   returning s.tracking_key as "trackingKey", s.carrier_key as "carrierKey"`,
  {
    ...{ column: 's.bucket', at: 2 },
    values: (rows) =>
      transpose(
        rows.map((row) => [
          row.trackingKey,
          row.carrierKey,
          bucketOfShipment(row),
          row.status,
          row.decidedBy?.code ?? null,
          row.decidedBy === null ? null : formatInstant(row.decidedBy.occurredAt),
          row.decidedBy?.seq ?? null,
          row.lastSeq,
          formatInstant(row.movedAt),
          row.version,
          formatInstant(row.updatedAt),
        ]),
        11,
      ),
  },
);
