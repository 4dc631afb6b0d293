import type { Cached, Caches, ReadCache } from '../../storage/cache/caches.ts';
import type { ShipmentDetail } from './shipment.ts';
import { shipmentsCache } from './shipment-announcement-service.ts';
import type { ShipmentReads } from './shipment-read-service.ts';
import { keyText, type ShipmentKey } from './tracking-key.ts';

/** Look-ups of single shipments through the cache. */
export interface ShipmentLookUps {
  /**
   * The shipment as it was at most a second ago, and never older than what this server acknowledged; one and the same object while
   * nothing changed: it must not be changed. `stale`: the database does not answer, this is what was kept.
   */
  lookUpShipment(key: ShipmentKey): Promise<Cached<ShipmentDetail | null>>;
  /** To be called after the commit of a change, before anybody is told of it. */
  forgetShipments(keys: readonly ShipmentKey[]): void;
}

export function createShipmentLookUps(caches: Caches, find: ShipmentReads['findShipment']): ShipmentLookUps {
  const cache: ReadCache<ShipmentDetail> = caches.open(shipmentsCache, { memoryShare: 0.6, life: 'announced' });
  return {
    lookUpShipment: (key) => cache.read(keyText(key), () => find(key)),
    forgetShipments: (keys) => cache.forget(keys.map(keyText)),
  };
}
