import { describe, expect, test } from 'vitest';
import type { Currency } from '../core/money.ts';
import { type Instant, type PlainDate, parseInstant } from '../core/time.ts';
import type { ShipmentDetail } from '../domains/shipments/shipment.ts';
import { shipmentStatuses } from '../domains/shipments/shipment-status.ts';
import { shipmentTag } from './shipment-answer.ts';
import {
  listedShipmentJson,
  recordedEventJson,
  recordedEventSchema,
  shipmentExample,
  shipmentJson,
  shipmentPageSchema,
  shipmentSchema,
} from './shipment-representation.ts';
import { trackExample, trackJson, trackSchema } from './track-representation.ts';

const at = (text: string): Instant => parseInstant(text) ?? (Number.NaN as Instant);
const nasty = 'a "quoted" \\ back\u2028slash\n</script> é 😀';

/** The shipment of the documentation's example. */
const shipment: ShipmentDetail = {
  carrierKey: 'DHL',
  trackingKey: 'TN12345678',
  shipmentId: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60' as ShipmentDetail['shipmentId'],
  carrier: 'DHL',
  trackingNumber: 'TN12345678',
  sender: {
    address: 'Street 1, 10115 Berlin, Germany',
    street: 'Street 1',
    postalCode: '10115',
    city: 'Berlin',
    country: 'DE',
  },
  receiver: {
    address: 'Street 10, 75001 Paris, France',
    street: 'Street 10',
    postalCode: '75001',
    city: 'Paris',
    country: 'FR',
  },
  currency: 'EUR' as Currency,
  orderId: null,
  expectedOn: '2026-11-24' as PlainDate,
  status: 'in_transit',
  decidedBy: { seq: 1, code: 'in-transit', occurredAt: at('2026-11-20T07:45:00Z') },
  lastSeq: 1,
  movedAt: at('2026-11-20T07:45:00Z'),
  version: 2,
  createdAt: at('2026-11-19T16:20:00Z'),
  updatedAt: at('2026-11-20T07:46:10Z'),
  articles: [
    { sku: 'LP123', name: 'Laptop', quantity: 1, unitPrice: 80_000 },
    { sku: 'MO456', name: 'Mouse', quantity: 1, unitPrice: 2_500 },
  ],
  events: [
    {
      seq: 1,
      code: 'in-transit',
      status: 'in_transit',
      newLeg: false,
      occurredAt: at('2026-11-20T07:45:00Z'),
      recordedAt: at('2026-11-20T07:46:10Z'),
      description: null,
      city: 'Leipzig',
      country: 'DE',
      actor: 'key:0123456789abcdef',
    },
  ],
};

const bare: ShipmentDetail = {
  ...shipment,
  carrier: nasty,
  sender: null,
  receiver: { address: nasty, street: null, postalCode: null, city: null, country: null },
  expectedOn: null,
  orderId: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
  status: 'pre_transit',
  decidedBy: null,
  articles: [{ sku: null, name: nasty, quantity: 1, unitPrice: null }],
  events: [],
};

describe('a shipment as JSON', () => {
  test('is the example of the documentation', () => {
    expect(JSON.parse(shipmentJson(shipment, []))).toEqual(shipmentExample);
    expect(JSON.parse(trackJson(shipment))).toEqual(trackExample);
  });

  test.each([
    ['with everything', shipment],
    ['with nothing', bare],
  ])('%s is what its schemas say, to the last field', (_name, one) => {
    const full: unknown = JSON.parse(shipmentJson(one, ['silent', 'late']));
    expect(shipmentSchema.strict().parse(full)).toEqual(full);
    const listed: unknown = JSON.parse(listedShipmentJson(one, []));
    expect(shipmentPageSchema.shape.items.element.strict().parse(listed)).toEqual(listed);
    const recorded: unknown = JSON.parse(recordedEventJson({ outcome: 'late', seq: 7, shipment: one }, ['exception']));
    expect(recordedEventSchema.strict().parse(recorded)).toEqual(recorded);
    const tracked: unknown = JSON.parse(trackJson(one));
    expect(trackSchema.strict().parse(tracked)).toEqual(tracked);
  });

  test('keeps every character', () => {
    expect(JSON.parse(shipmentJson(bare, []))).toMatchObject({
      carrier: nasty,
      receiver: { address: nasty },
      articles: [{ name: nasty }],
    });
  });

  test('says every status in a sentence of its own', () => {
    const sentences = shipmentStatuses.map((status) => JSON.parse(trackJson({ ...shipment, status })).status_text);
    expect(new Set(sentences).size).toBe(shipmentStatuses.length);
    for (const sentence of sentences) expect(sentence).toMatch(/^[A-Z].*\.$/);
  });

  test('shows no city to the public that may be a street, and no country that is none', () => {
    const tracked = JSON.parse(
      trackJson({
        ...shipment,
        receiver: { address: 'x', street: null, postalCode: null, city: 'Rue 12', country: 'Rue 12, France' },
      }),
    );
    expect(tracked.destination).toEqual({ city: null, country: null });
  });

  test('has an ETag that changes when time alone changes the document', () => {
    const tag = (moment: string) => shipmentTag(shipment, at(moment));
    expect(tag('2026-11-21T00:00:00Z')).toBe('"v2"');
    expect(tag('2026-11-24T23:59:59Z')).toBe('"v2"');
    expect(tag('2026-11-25T00:00:00Z')).toBe('"v2-late"');
    expect(tag('2026-11-25T07:45:00Z')).toBe('"v2-silent-late"');
  });
});
