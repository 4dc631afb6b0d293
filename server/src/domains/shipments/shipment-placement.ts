import type { Bucket } from '../../core/bucket.ts';
import { newShipmentId, type RandomBytes } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import type { Instant } from '../../core/time.ts';
import { readAddress } from './address.ts';
import { contentHashOf, type NewShipment, type ShipmentDetail, type ShipmentEvent } from './shipment.ts';
import { eventLog, judgeEvent } from './shipment-events.ts';
import { bucketOfShipment, byShipmentKey } from './tracking-key.ts';

/** A shipment on its way into the database: everything that will be stored of it. */
export interface PlacedShipment {
  readonly shipment: ShipmentDetail;
  readonly bucket: Bucket;
  /** Hexadecimal; null for one that comes with a file. */
  readonly contentHash: string | null;
  /** The code that a file said; null for one that was submitted. */
  readonly importedStatus: string | null;
}

export interface PlacementContext {
  readonly now: Instant;
  readonly actor: string;
  readonly defaultCurrency: Currency;
  readonly random?: RandomBytes;
}

/**
 * Gives a submitted shipment its id and its home, reads its addresses and derives its status from the events that came with it;
 * of two events with the same instant and code one is kept. Pure but for the randomness it is given.
 * @returns null when one of its events lies more than five minutes ahead
 */
export function placeShipment(input: NewShipment, context: PlacementContext): PlacedShipment | null {
  const { now, actor, defaultCurrency, random } = context;
  const bucket = bucketOfShipment(input);
  let log = eventLog([], now);
  for (const event of input.events) {
    const judgement = judgeEvent(log, event, { now, actor });
    if (judgement.kind === 'refused') return null;
    if (judgement.kind !== 'replayed') log = judgement.log;
  }
  return {
    shipment: {
      trackingKey: input.trackingKey,
      carrierKey: input.carrierKey,
      shipmentId: newShipmentId(now, bucket, random),
      carrier: input.carrier,
      trackingNumber: input.trackingNumber,
      sender: input.sender === null ? null : readAddress(input.sender),
      receiver: input.receiver === null ? null : readAddress(input.receiver),
      currency: input.currency ?? defaultCurrency,
      orderId: input.orderId,
      expectedOn: input.expectedOn,
      ...log.state,
      version: 1,
      createdAt: now,
      updatedAt: now,
      articles: input.articles,
      events: [...log.events].sort(newestFirst),
    },
    bucket,
    contentHash: contentHashOf(input),
    importedStatus: null,
  };
}

/** The order in which events are shown. */
const newestFirst = (a: ShipmentEvent, b: ShipmentEvent): number => b.occurredAt - a.occurredAt || b.seq - a.seq;

/** As the primary keys are: concurrent batches claim keys in the same order, and each index grows at few places. */
export const byPlacedKey = (a: PlacedShipment, b: PlacedShipment): number => byShipmentKey(a.shipment, b.shipment);
