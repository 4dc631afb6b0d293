import { z } from 'zod';
import type { ShipmentDetail } from '../domains/shipments/shipment.ts';
import type { ShipmentStatus } from '../domains/shipments/shipment-status.ts';
import { jsonInstant, jsonText } from './json-text.ts';
import { countryCode, shipmentStatus } from './shipment-representation.ts';

/** What a status means to whoever waits for the parcel, and how far it has come on its way there. */
interface PlainStatus {
  readonly words: string;
  /** Of `steps`; null where it does not travel to its receiver, or nobody can say. */
  readonly step: number | null;
}

const steps = 4;

/** One sentence a status; each is read by somebody who knows nothing of parcels. */
const plain: Readonly<Record<ShipmentStatus, PlainStatus>> = {
  pre_transit: { words: 'The sender has announced the parcel; the carrier does not have it yet.', step: 1 },
  in_transit: { words: 'The parcel is on its way.', step: 2 },
  out_for_delivery: { words: 'The parcel is in the delivery vehicle and comes today.', step: 3 },
  available_for_pickup: { words: 'The parcel waits at a pick-up point.', step: 3 },
  delivered: { words: 'The parcel has been delivered.', step: 4 },
  exception: { words: 'Something holds the parcel up; the carrier is looking after it.', step: null },
  returning: { words: 'The parcel is on its way back to the sender.', step: null },
  returned: { words: 'The parcel is back with the sender.', step: null },
  cancelled: { words: 'The shipment was cancelled.', step: null },
  unknown: { words: 'The carrier has sent news that we cannot read.', step: null },
};

const words = z.string().meta({ description: 'One sentence, for people.' });
const place = { city: z.string().nullable(), country: countryCode.nullable() };
const moment = z.string().meta({ format: 'date-time' });

export const trackExample = {
  carrier: 'DHL',
  tracking_number: 'TN12345678',
  status: 'in_transit',
  status_text: plain.in_transit.words,
  status_at: '2026-11-20T07:45:00.000Z',
  progress: { step: 2, of: steps },
  expected_on: '2026-11-24',
  origin: { city: 'Berlin', country: 'DE' },
  destination: { city: 'Paris', country: 'FR' },
  events: [
    {
      status: 'in_transit',
      text: plain.in_transit.words,
      occurred_at: '2026-11-20T07:45:00.000Z',
      city: 'Leipzig',
      country: 'DE',
    },
  ],
};

export const trackSchema = z
  .object({
    carrier: z.string(),
    tracking_number: z.string(),
    status: shipmentStatus,
    status_text: words,
    status_at: moment.nullable(),
    progress: z.object({ step: z.int(), of: z.int() }).nullable().meta({
      description:
        '1 announced, 2 on its way, 3 out for delivery or ready for pick-up, 4 delivered. Null while it does not travel to its receiver.',
    }),
    expected_on: z.string().nullable().meta({ format: 'date' }),
    origin: z.object(place),
    destination: z.object(place),
    events: z
      .array(z.object({ status: shipmentStatus, text: words, occurred_at: moment, ...place }))
      .meta({ description: 'Newest first.' }),
  })
  .meta({
    id: 'Tracking',
    description: 'What anybody may see who has the number: no street, name, price, article or order.',
    examples: [trackExample],
  });

// A country that is none was typed by somebody, as a city with a digit in it was: the street or the postal code may be in there.
const publicCity = (city: string | null): string | null => (city !== null && /\d/.test(city) ? null : city);
const publicCountry = (country: string | null): string | null =>
  country !== null && /^[A-Z]{2}$/.test(country) ? country : null;

const placeJson = (seen: { readonly city: string | null; readonly country: string | null } | null): string =>
  `"city":${jsonText(publicCity(seen?.city ?? null))},"country":${jsonText(publicCountry(seen?.country ?? null))}`;

/**
 * The JSON text of the public tracking. Chosen field by field: what is added to shipments is not public by accident. Of an event
 * neither the carrier's code nor its description is told: people write names and doors into them.
 */
export const trackJson = (shipment: ShipmentDetail): string =>
  `{"carrier":${jsonText(shipment.carrier)},"tracking_number":${jsonText(shipment.trackingNumber)},` +
  `"status":"${shipment.status}","status_text":${jsonText(plain[shipment.status].words)},` +
  `"status_at":${jsonInstant(shipment.decidedBy?.occurredAt ?? null)},"progress":${progressJson(shipment.status)},` +
  `"expected_on":${jsonText(shipment.expectedOn)},"origin":{${placeJson(shipment.sender)}},` +
  `"destination":{${placeJson(shipment.receiver)}},"events":[${shipment.events
    .map(
      (event) =>
        `{"status":"${event.status}","text":${jsonText(plain[event.status].words)},` +
        `"occurred_at":${jsonInstant(event.occurredAt)},${placeJson(event)}}`,
    )
    .join(',')}]}`;

function progressJson(status: ShipmentStatus): string {
  const { step } = plain[status];
  return step === null ? 'null' : `{"step":${step},"of":${steps}}`;
}
