import { announceChanges } from '../../storage/cache/announcement.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { keyText, type ShipmentKey } from './tracking-key.ts';

/** The cache of single shipments, by `keyText`. */
export const shipmentsCache = 'shipments';

/** Tells every server of shipments that are made or changed in this transaction. */
export const announceShipments = (tx: Transaction, keys: readonly ShipmentKey[]): Promise<void> =>
  announceChanges(tx, { cache: shipmentsCache, keys: keys.map(keyText) });
