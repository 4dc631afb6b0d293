import { type ShipmentId, timeOfId } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import type { PlainDate } from '../../core/time.ts';
import { parseTimestamptz } from '../../storage/pg-types.ts';
import type { RowTexts } from '../../storage/sql.ts';
import type { Address, Article, Shipment, ShipmentEvent } from './shipment.ts';
import type { DecidingEvent, ShipmentStatus } from './shipment-status.ts';

// created_at is in the id.
const columns = [
  's.tracking_key',
  's.carrier_key',
  's.shipment_id',
  's.carrier',
  's.tracking_number',
  's.sender_address',
  's.sender_street',
  's.sender_postal_code',
  's.sender_city',
  's.sender_country',
  's.receiver_address',
  's.receiver_street',
  's.receiver_postal_code',
  's.receiver_city',
  's.receiver_country',
  's.currency',
  's.order_id',
  's.expected_on',
  's.status',
  's.status_code',
  's.status_at',
  's.status_seq',
  's.last_seq',
  's.moved_at',
  's.version',
  's.updated_at',
] as const;

/** What `shipmentOf` reads, of `shipments s`. */
export const shipmentColumns = columns.join(', ');
/** How many they are: columns behind them begin here. */
export const shipmentColumnCount = columns.length;

/** A shipment of the texts of `shipmentColumns`; for statements with `withRows`. */
export function shipmentOf(texts: RowTexts): Shipment {
  const shipmentId = texts[2] as ShipmentId;
  return {
    trackingKey: texts[0] as string,
    carrierKey: texts[1] as string,
    shipmentId,
    carrier: texts[3] as string,
    trackingNumber: texts[4] as string,
    sender: addressOf(texts, 5),
    receiver: addressOf(texts, 10),
    currency: texts[15] as Currency,
    orderId: texts[16] ?? null,
    expectedOn: (texts[17] ?? null) as PlainDate | null,
    status: texts[18] as ShipmentStatus,
    decidedBy: decidingEventOf(texts, 19),
    lastSeq: Number(texts[22]),
    movedAt: parseTimestamptz(texts[23] as string),
    version: Number(texts[24]),
    createdAt: timeOfId(shipmentId),
    updatedAt: parseTimestamptz(texts[25] as string),
  };
}

function addressOf(texts: RowTexts, from: number): Address | null {
  const address = texts[from];
  if (address == null) return null;
  return {
    address,
    street: texts[from + 1] ?? null,
    postalCode: texts[from + 2] ?? null,
    city: texts[from + 3] ?? null,
    country: texts[from + 4] ?? null,
  };
}

function decidingEventOf(texts: RowTexts, from: number): DecidingEvent | null {
  const [code, at, seq] = [texts[from], texts[from + 1], texts[from + 2]];
  return code == null || at == null || seq == null
    ? null
    : { seq: Number(seq), code, occurredAt: parseTimestamptz(at) };
}

/** What `articleOf` reads, of `shipment_articles a`; they stand in the order of `a.position`. */
export const articleColumns = 'a.sku, a.name, a.quantity, a.unit_price_minor';

/** An article of the texts of `articleColumns`, from the n-th text on. */
export const articleOf = (texts: RowTexts, from = 0): Article => ({
  sku: texts[from] ?? null,
  name: texts[from + 1] as string,
  quantity: Number(texts[from + 2]),
  unitPrice: texts[from + 3] == null ? null : Number(texts[from + 3]),
});

/** What `eventOf` reads, of `shipment_events e`. */
export const eventColumns =
  'e.seq, e.code, e.status, e.new_leg, e.occurred_at, e.recorded_at, e.description, e.city, e.country, e.actor';

/** An event of the texts of `eventColumns`, from the n-th text on. */
export const eventOf = (texts: RowTexts, from = 0): ShipmentEvent => ({
  seq: Number(texts[from]),
  code: texts[from + 1] as string,
  status: texts[from + 2] as ShipmentStatus,
  newLeg: texts[from + 3] === 't',
  occurredAt: parseTimestamptz(texts[from + 4] as string),
  recordedAt: parseTimestamptz(texts[from + 5] as string),
  description: texts[from + 6] ?? null,
  city: texts[from + 7] ?? null,
  country: texts[from + 8] ?? null,
  actor: texts[from + 9] as string,
});
