import { type Statement, statement, statementByBucket, transpose, withRows } from '../../storage/sql.ts';
import type { Article, Shipment } from './shipment.ts';
import {
  articleColumns,
  articleOf,
  shipmentColumnCount,
  shipmentColumns,
  shipmentOf,
} from './shipment-columns-queries.ts';
import {
  articleValues,
  type Owned,
  type PlacedArticle,
  type ShipmentToStore,
  shipmentValues,
} from './shipment-store-queries.ts';
import { bucketOfShipment, type ShipmentKey } from './tracking-key.ts';

// Many shipments at once as imports read and change them.

const keyArrays = (keys: readonly ShipmentKey[]): unknown[][] =>
  transpose(
    keys.map((key) => [key.trackingKey, key.carrierKey, bucketOfShipment(key)]),
    3,
  );

const ofKeys = 'unnest($1::text[], $2::text[], $3::smallint[]) as u (tracking_key, carrier_key, bucket)';
const onKey = (alias: string) =>
  `${alias}.tracking_key = u.tracking_key and ${alias}.carrier_key = u.carrier_key and ${alias}.bucket = u.bucket`;

/** A shipment with the code that a file said last. */
export interface StoredShipment {
  readonly shipment: Shipment;
  readonly importedStatus: string | null;
}

const selectShipments = statement<unknown, [readonly ShipmentKey[]]>(
  'shipments_by_keys',
  `select ${shipmentColumns}, s.imported_status from ${ofKeys} join shipments s on ${onKey('s')}`,
  keyArrays,
);

/** Those of these shipments that exist, in any order. */
export const shipmentsByKeys = (keys: readonly ShipmentKey[]): Statement<StoredShipment> =>
  withRows(selectShipments(keys), (texts) => ({
    shipment: shipmentOf(texts),
    importedStatus: texts[shipmentColumnCount] ?? null,
  }));

/** An article with the shipment it belongs to. */
export interface StoredArticle extends ShipmentKey {
  readonly articleKey: string;
  readonly position: number;
  readonly article: Article;
}

const selectArticles = statement<unknown, [readonly ShipmentKey[]]>(
  'articles_by_keys',
  `select a.tracking_key, a.carrier_key, a.article_key, a.position, ${articleColumns} from ${ofKeys}
     join shipment_articles a on ${onKey('a')}`,
  keyArrays,
);

export const articlesByKeys = (keys: readonly ShipmentKey[]): Statement<StoredArticle> =>
  withRows(selectArticles(keys), (texts) => ({
    trackingKey: texts[0] as string,
    carrierKey: texts[1] as string,
    articleKey: texts[2] as string,
    position: Number(texts[3]),
    article: articleOf(texts, 4),
  }));

/** Changed articles, found by their keys; their shipments are locked. */
export const updateArticles = statementByBucket<never, [readonly Owned<PlacedArticle>[]]>(
  'update_shipment_articles',
  (
    only,
  ) => `update shipment_articles a set name = u.name, quantity = u.quantity, unit_price_minor = u.unit_price_minor, sku = u.sku
     from unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::int[], $6::text[], $7::int[], $8::bigint[], $9::text[])
       as u (tracking_key, carrier_key, bucket, article_key, position, name, quantity, unit_price_minor, sku)
    where ${onKey('a')} and a.article_key = u.article_key${only}`,
  { column: 'a.bucket', at: 2, values: (articles) => transpose(articles.map(articleValues), 9) },
);

/** Changed shipments, locked before. Carrier and number as given, the currency and the hash stay as they are. */
export const updateShipments = statementByBucket<never, [readonly ShipmentToStore[]]>(
  'update_imported_shipments',
  (
    only,
  ) => `update shipments s set sender_address = u.sender_address, sender_street = u.sender_street, sender_postal_code = u.sender_postal_code,
       sender_city = u.sender_city, sender_country = u.sender_country, receiver_address = u.receiver_address,
       receiver_street = u.receiver_street, receiver_postal_code = u.receiver_postal_code, receiver_city = u.receiver_city,
       receiver_country = u.receiver_country, receiver_city_key = u.receiver_city_key, order_id = u.order_id,
       expected_on = u.expected_on, status = u.status, status_code = u.status_code, status_at = u.status_at,
       status_seq = u.status_seq, last_seq = u.last_seq, moved_at = u.moved_at, imported_status = u.imported_status,
       version = u.version, updated_at = u.updated_at
     from unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
       $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::uuid[], $16::date[], $17::text[], $18::text[],
       $19::timestamptz[], $20::int[], $21::int[], $22::timestamptz[], $23::text[], $24::int[], $25::timestamptz[])
       as u (tracking_key, carrier_key, bucket, sender_address, sender_street, sender_postal_code, sender_city, sender_country,
         receiver_address, receiver_street, receiver_postal_code, receiver_city, receiver_country, receiver_city_key, order_id,
         expected_on, status, status_code, status_at, status_seq, last_seq, moved_at, imported_status, version, updated_at)
    where ${onKey('s')}${only}`,
  { column: 's.bucket', at: 2, values: (shipments) => transpose(shipments.map(updateValues), 25) },
);

// Places in `shipmentValues` of what an update does not touch: shipment_id, carrier, tracking_number, currency, content_hash, created_at.
const fixed: ReadonlySet<number> = new Set([3, 4, 5, 17, 27, 29]);

const updateValues = (row: ShipmentToStore) => shipmentValues(row).filter((_, i) => !fixed.has(i));
