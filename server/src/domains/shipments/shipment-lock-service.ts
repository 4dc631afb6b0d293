import type { Transaction } from '../../storage/transaction.ts';
import type { Shipment } from './shipment.ts';
import { lockShipments } from './shipment-store-queries.ts';
import { bucketOfShipment, type ShipmentKey } from './tracking-key.ts';

/** Locks these shipments, shard after shard, for Citus locks rows of one shard at a time. May lock a few more. */
export async function lockAllShipments(tx: Transaction, keys: readonly ShipmentKey[]): Promise<Shipment[]> {
  const locked: Shipment[] = [];
  for (const group of await tx.byShard(keys, bucketOfShipment)) locked.push(...(await tx.run(lockShipments(group))));
  return locked;
}
