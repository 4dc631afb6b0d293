import { bucketOf } from '../core/bucket.ts';
import { newShipmentId } from '../core/ids.ts';
import type { Currency } from '../core/money.ts';
import { formatInstant } from '../core/time.ts';
import {
  type Address,
  articleKeyOf,
  cityKey,
  type ShipmentDetail,
  type ShipmentFilter,
} from '../domains/shipments/shipment.ts';
import { shipmentKeyOf } from '../domains/shipments/tracking-key.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { testNow } from './test-clock.ts';

/** The filter that selects every shipment. */
export const everyShipment: ShipmentFilter = {
  trackingKey: null,
  carrierKey: null,
  statuses: [],
  cityKey: null,
  country: null,
  orderId: null,
  needsAttention: null,
  updatedFrom: null,
  updatedTo: null,
};

/** A shipment as it could stand in the database. Each test says what matters to it; its keys follow from its names. */
export function shipmentRow(more: Partial<ShipmentDetail> = {}): ShipmentDetail {
  const { carrier = 'DHL', trackingNumber = 'TN1', createdAt = testNow } = more;
  const key = shipmentKeyOf(carrier, trackingNumber);
  if (key === null) throw new RangeError('These names have no key.');
  return {
    ...key,
    shipmentId: newShipmentId(createdAt, bucketOf(`${key.carrierKey}/${key.trackingKey}`)),
    carrier,
    trackingNumber,
    sender: null,
    receiver: null,
    currency: 'EUR' as Currency,
    orderId: null,
    expectedOn: null,
    status: 'pre_transit',
    decidedBy: null,
    lastSeq: 0,
    movedAt: createdAt,
    version: 1,
    createdAt,
    updatedAt: createdAt,
    articles: [],
    events: [],
    ...more,
  };
}

const addressColumns = (prefix: string, address: Address | null) => ({
  [`${prefix}_address`]: address?.address ?? null,
  [`${prefix}_street`]: address?.street ?? null,
  [`${prefix}_postal_code`]: address?.postalCode ?? null,
  [`${prefix}_city`]: address?.city ?? null,
  [`${prefix}_country`]: address?.country ?? null,
});

function columnsOf(shipment: ShipmentDetail) {
  const { decidedBy, receiver } = shipment;
  return {
    ...keyColumns(shipment),
    shipment_id: shipment.shipmentId,
    carrier: shipment.carrier,
    tracking_number: shipment.trackingNumber,
    ...addressColumns('sender', shipment.sender),
    ...addressColumns('receiver', receiver),
    receiver_city_key: receiver?.city == null ? null : cityKey(receiver.city),
    currency: shipment.currency,
    order_id: shipment.orderId,
    expected_on: shipment.expectedOn,
    status: shipment.status,
    status_code: decidedBy?.code ?? null,
    status_at: decidedBy === null ? null : formatInstant(decidedBy.occurredAt),
    status_seq: decidedBy?.seq ?? null,
    last_seq: shipment.lastSeq,
    moved_at: formatInstant(shipment.movedAt),
    version: shipment.version,
    created_at: formatInstant(shipment.createdAt),
    updated_at: formatInstant(shipment.updatedAt),
  };
}

const keyColumns = ({ carrierKey, trackingKey }: ShipmentDetail) => ({
  carrier_key: carrierKey,
  tracking_key: trackingKey,
  bucket: bucketOf(`${carrierKey}/${trackingKey}`),
});

const articlesOf = (shipment: ShipmentDetail) =>
  shipment.articles.map((article, i) => ({
    ...keyColumns(shipment),
    article_key: articleKeyOf(article),
    position: i + 1,
    name: article.name,
    quantity: article.quantity,
    unit_price_minor: article.unitPrice,
    sku: article.sku,
  }));

const eventsOf = (shipment: ShipmentDetail) =>
  shipment.events.map((event) => ({
    ...keyColumns(shipment),
    seq: event.seq,
    code: event.code,
    status: event.status,
    new_leg: event.newLeg,
    occurred_at: formatInstant(event.occurredAt),
    recorded_at: formatInstant(event.recordedAt),
    description: event.description,
    city: event.city,
    country: event.country,
    actor: event.actor,
  }));

/** Writes them as they are, past the product's own writers: what reads are compared with must not come from them. */
export async function insertShipmentRows(db: Database, shipments: readonly ShipmentDetail[]): Promise<void> {
  const tables = {
    shipments: shipments.map(columnsOf),
    shipment_articles: shipments.flatMap(articlesOf),
    shipment_events: shipments.flatMap(eventsOf),
  };
  for (const [table, rows] of Object.entries(tables)) {
    const name = sql.id(table);
    await db.query(
      dynamic(
        sql`insert into ${name} select * from jsonb_populate_recordset(null::${name}, ${JSON.stringify(rows)}::jsonb)`,
      ),
    );
  }
}
