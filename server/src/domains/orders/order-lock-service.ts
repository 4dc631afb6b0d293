import { bucketOfId, type OrderId } from '../../core/ids.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type LockedOrder, lockOrders } from './orders-queries.ts';

/** Locks these orders, shard after shard, for Citus locks rows of one shard at a time. Those that are not there are left out. */
export async function lockAll(tx: Transaction, ids: readonly OrderId[]): Promise<LockedOrder[]> {
  const locked: LockedOrder[] = [];
  for (const group of await tx.byShard(ids, bucketOfId)) locked.push(...(await tx.run(lockOrders(group))));
  return locked;
}
