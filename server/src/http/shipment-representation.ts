import { z } from 'zod';
import type { Address, Article, Shipment, ShipmentDetail, ShipmentEvent } from '../domains/shipments/shipment.ts';
import { type Attention, attentions } from '../domains/shipments/shipment-attention.ts';
import { type DecidingEvent, shipmentStatuses } from '../domains/shipments/shipment-status.ts';
import { jsonInstant, jsonText } from './json-text.ts';

const moment = (description?: string) =>
  z.string().meta({ format: 'date-time', ...(description === undefined ? {} : { description }) });
export const shipmentStatus = z.enum(shipmentStatuses);
export const countryCode = z.string().meta({ description: 'ISO 3166-1 alpha-2 where it could be read as such.' });

const addressSchema = z
  .object({
    address: z.string().meta({ description: 'As given.' }),
    street: z.string().nullable(),
    postal_code: z.string().nullable(),
    city: z.string().nullable(),
    country: countryCode.nullable(),
  })
  .meta({ id: 'Address', description: 'As given, and what could be read out of it; null is what could not.' });

const articleSchema = z
  .object({
    sku: z.string().nullable(),
    name: z.string(),
    quantity: z.int(),
    unit_price: z.int().nullable().meta({ description: 'Minor units: 80000 is 800.00 EUR.' }),
  })
  .meta({ id: 'Article' });

const eventSchema = z
  .object({
    seq: z.int().meta({ description: 'In the order of arrival.' }),
    code: z.string().meta({ description: "The carrier's word, as given." }),
    status: shipmentStatus.meta({ description: 'What the code means.' }),
    occurred_at: moment(),
    recorded_at: moment(),
    description: z.string().nullable(),
    city: z.string().nullable(),
    country: countryCode.nullable(),
    actor: z.string(),
  })
  .meta({ id: 'ShipmentEvent' });

const headFields = {
  carrier: z.string().meta({ description: 'As given.' }),
  tracking_number: z.string().meta({ description: 'As given, leading zeros kept.' }),
  status: shipmentStatus,
  status_at: moment('When the deciding event happened; null before any.').nullable(),
  decided_by: z
    .object({ seq: z.int(), code: z.string(), occurred_at: moment() })
    .nullable()
    .meta({ description: 'The event that the status follows from; null before any.' }),
  expected_on: z.string().nullable().meta({ format: 'date' }),
  order_id: z.string().nullable().meta({ format: 'uuid' }),
  sender: addressSchema.nullable(),
  receiver: addressSchema.nullable(),
  currency: z.string().meta({ description: 'ISO 4217.' }),
};
const tailFields = {
  attention: z.array(z.enum(attentions)).meta({
    description:
      'Why somebody should look at it, as of now: it has an exception, it was not seen to move for days, its expected day is over. Empty once it has ended.',
  }),
  moved_at: moment('When it was last seen to move; before that, when it was created.'),
  created_at: moment(),
  updated_at: moment(),
  version: z.int().meta({ description: 'Rises with every change.' }),
};

export const shipmentExample = {
  carrier: 'DHL',
  tracking_number: 'TN12345678',
  status: 'in_transit',
  status_at: '2026-11-20T07:45:00.000Z',
  decided_by: { seq: 1, code: 'in-transit', occurred_at: '2026-11-20T07:45:00.000Z' },
  expected_on: '2026-11-24',
  order_id: null,
  sender: {
    address: 'Street 1, 10115 Berlin, Germany',
    street: 'Street 1',
    postal_code: '10115',
    city: 'Berlin',
    country: 'DE',
  },
  receiver: {
    address: 'Street 10, 75001 Paris, France',
    street: 'Street 10',
    postal_code: '75001',
    city: 'Paris',
    country: 'FR',
  },
  currency: 'EUR',
  articles: [
    { sku: 'LP123', name: 'Laptop', quantity: 1, unit_price: 80_000 },
    { sku: 'MO456', name: 'Mouse', quantity: 1, unit_price: 2_500 },
  ],
  events: [
    {
      seq: 1,
      code: 'in-transit',
      status: 'in_transit',
      occurred_at: '2026-11-20T07:45:00.000Z',
      recorded_at: '2026-11-20T07:46:10.000Z',
      description: null,
      city: 'Leipzig',
      country: 'DE',
      actor: 'key:0123456789abcdef',
    },
  ],
  attention: [],
  moved_at: '2026-11-20T07:45:00.000Z',
  created_at: '2026-11-19T16:20:00.000Z',
  updated_at: '2026-11-20T07:46:10.000Z',
  version: 2,
};

const detailFields = {
  articles: z.array(articleSchema),
  events: z.array(eventSchema).meta({ description: 'Newest first, by (occurred_at, seq).' }),
};
export const shipmentSchema = z
  .object({ ...headFields, ...detailFields, ...tailFields })
  .meta({ id: 'Shipment', examples: [shipmentExample] });

const listedSchema = z
  .object({ ...headFields, ...tailFields })
  .meta({ id: 'ListedShipment', description: 'A shipment without its articles and events.' });

export const recordedEventSchema = z
  .object({
    outcome: z.enum(['recorded', 'late', 'replayed']).meta({
      description:
        'recorded: it decides now; late: kept, and another event decides (something newer, or a delivery that only a new leg ends); replayed: this instant and code was recorded before.',
    }),
    event_seq: z.int().meta({ description: 'The `seq` under which the event stands.' }),
    ...headFields,
    ...tailFields,
  })
  .meta({ id: 'RecordedShipmentEvent', description: 'What became of the event, and the shipment as it is now.' });

export const shipmentPageSchema = z
  .object({
    items: z.array(listedSchema),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Give it as `cursor` for the next page; null on the last page.' }),
    next: z.string().nullable().meta({ description: 'The URL of the next page; null on the last page.' }),
  })
  .meta({ id: 'ShipmentPage' });

export const shipmentCountSchema = z
  .object({ count: z.int(), precision: z.enum(['exact', 'at_least']) })
  .meta({ id: 'ShipmentCount', description: 'Counting stops at 10,000 rows: then the precision is `at_least`.' });

// The texts are put together here and not by a serialiser: an object made only to be written costs twice as much as writing it
// (17 us against 7 for a shipment of two articles and three events). A test holds them against the schemas.

const addressJson = (given: Address | null): string =>
  given === null
    ? 'null'
    : `{"address":${jsonText(given.address)},"street":${jsonText(given.street)},"postal_code":${jsonText(given.postalCode)},` +
      `"city":${jsonText(given.city)},"country":${jsonText(given.country)}}`;

const articleJson = ({ sku, name, quantity, unitPrice }: Article): string =>
  `{"sku":${jsonText(sku)},"name":${jsonText(name)},"quantity":${quantity},"unit_price":${unitPrice}}`;

const eventJson = (event: ShipmentEvent): string =>
  `{"seq":${event.seq},"code":${jsonText(event.code)},"status":"${event.status}",` +
  `"occurred_at":${jsonInstant(event.occurredAt)},"recorded_at":${jsonInstant(event.recordedAt)},` +
  `"description":${jsonText(event.description)},"city":${jsonText(event.city)},"country":${jsonText(event.country)},` +
  `"actor":${jsonText(event.actor)}}`;

const decidingJson = (event: DecidingEvent | null): string =>
  event === null
    ? 'null'
    : `{"seq":${event.seq},"code":${jsonText(event.code)},"occurred_at":${jsonInstant(event.occurredAt)}}`;

const headJson = (shipment: Shipment): string =>
  `"carrier":${jsonText(shipment.carrier)},"tracking_number":${jsonText(shipment.trackingNumber)},"status":"${shipment.status}",` +
  `"status_at":${jsonInstant(shipment.decidedBy?.occurredAt ?? null)},"decided_by":${decidingJson(shipment.decidedBy)},` +
  `"expected_on":${jsonText(shipment.expectedOn)},"order_id":${jsonText(shipment.orderId)},` +
  `"sender":${addressJson(shipment.sender)},"receiver":${addressJson(shipment.receiver)},"currency":"${shipment.currency}",`;

const tailJson = (shipment: Shipment, attention: readonly Attention[]): string =>
  `"attention":${attention.length === 0 ? '[]' : JSON.stringify(attention)},"moved_at":${jsonInstant(shipment.movedAt)},` +
  `"created_at":${jsonInstant(shipment.createdAt)},"updated_at":${jsonInstant(shipment.updatedAt)},` +
  `"version":${shipment.version}}`;

/** The JSON text of a shipment as lists show it. */
export const listedShipmentJson = (shipment: Shipment, attention: readonly Attention[]): string =>
  `{${headJson(shipment)}${tailJson(shipment, attention)}`;

/** The JSON text of a shipment. */
export const shipmentJson = (shipment: ShipmentDetail, attention: readonly Attention[]): string =>
  `{${membersJson(shipment, attention)}`;

/** The JSON text of an answer to an event: what became of it, then the shipment as lists show it, as it is now. */
export const recordedEventJson = (
  { outcome, seq, shipment }: { readonly outcome: string; readonly seq: number; readonly shipment: Shipment },
  attention: readonly Attention[],
): string => `{"outcome":"${outcome}","event_seq":${seq},${headJson(shipment)}${tailJson(shipment, attention)}`;

const membersJson = (shipment: ShipmentDetail, attention: readonly Attention[]): string =>
  `${headJson(shipment)}"articles":[${shipment.articles.map(articleJson).join(',')}],` +
  `"events":[${shipment.events.map(eventJson).join(',')}],${tailJson(shipment, attention)}`;
