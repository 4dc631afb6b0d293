import type { Currency } from '../../server/src/core/money.ts';
import { createRandom } from '../../server/src/core/pseudo-random.ts';
import type { Instant } from '../../server/src/core/time.ts';
import { zipfSampler } from '../../server/src/domains/orders/zipf.ts';
import { createShipmentMaker } from '../../server/src/domains/shipments/shipment-generator.ts';
import type { ShipmentsScale } from './scale.ts';

/** The flags of `milliard shipments generate` that make the shipments which are looked up. */
export const seed = 7;
export const from = '2026-08-01';
export const to = '2026-10-30';
const currency = 'EUR' as Currency;

/** Number n of the generated shipments, 1..count: the same as the command stored. */
export const shipmentMaker = (count: number) =>
  createShipmentMaker({ count, from: Date.parse(from) as Instant, to: Date.parse(to) as Instant, seed, currency });

export const pathOf = ({ carrier, trackingNumber }: { readonly carrier: string; readonly trackingNumber: string }) =>
  `/api/v1/shipments/${encodeURIComponent(carrier)}/${encodeURIComponent(trackingNumber)}`;

/** Paths of look-ups by Zipf's law with exponent 1: the most wanted parcel is asked for as often as the next two together. */
export function drawPaths({ shipments, drawnLookUps }: Pick<ShipmentsScale, 'shipments' | 'drawnLookUps'>): string[] {
  const make = shipmentMaker(shipments);
  const rankOf = zipfSampler(shipments, 1);
  const random = createRandom(seed, 0);
  const pathOfRank = new Map<number, string>();
  return Array.from({ length: drawnLookUps }, () => {
    const rank = rankOf(random);
    const path = pathOfRank.get(rank) ?? pathOf(make(rank + 1).shipment);
    pathOfRank.set(rank, path);
    return path;
  });
}
