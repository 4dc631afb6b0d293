import type { OrderId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { copyChunks } from '../../storage/copy.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { announceOrders } from './order-announcement-service.ts';
import { lockAll } from './order-lock-service.ts';
import { type ImportedStatus, missingRows, type StatusRow, stateOf } from './order-status.ts';
import {
  asTheyAre,
  copyStatuses,
  historiesOf,
  insertStatuses,
  type StatusValues,
  statusValues,
} from './order-statuses-queries.ts';
import { type OrderStateUpdate, updateOrderStates } from './orders-queries.ts';

export interface HistoryMerge {
  readonly orderId: OrderId;
  readonly statuses: readonly ImportedStatus[];
  readonly actor: string;
}

/**
 * Adds what is missing of imported histories to orders that exist, and makes each order's copy follow its newest row.
 * @returns how many rows each order got; orders that got none are left out
 */
export async function mergeHistories(
  tx: Transaction,
  merges: readonly HistoryMerge[],
  { now, method }: { readonly now: Instant; readonly method: 'insert' | 'copy' },
): Promise<Map<OrderId, number>> {
  const ids = [...new Set(merges.map(({ orderId }) => orderId))];
  await lockAll(tx, ids);
  const histories = new Map<OrderId, StatusRow[]>(ids.map((id) => [id, []]));
  for (const { orderId, ...row } of await tx.run(historiesOf(ids))) histories.get(orderId)?.push(row);

  const added: StatusValues[] = [];
  const counts = new Map<OrderId, number>();
  for (const { orderId, statuses, actor } of merges) {
    const history = histories.get(orderId) ?? [];
    const missing = missingRows(history, statuses, { now, actor });
    if (missing.length === 0) continue;
    history.push(...missing);
    added.push(...missing.map((row) => statusValues(orderId, row)));
    counts.set(orderId, (counts.get(orderId) ?? 0) + missing.length);
  }
  if (added.length === 0) return counts;
  if (method === 'insert') await tx.run(insertStatuses(added));
  else await tx.copyIn(copyStatuses, copyChunks(added, asTheyAre));
  const states = [...counts.keys()].map(
    (orderId): OrderStateUpdate => ({ orderId, ...stateOf(histories.get(orderId) ?? []) }),
  );
  await tx.run(updateOrderStates(states));
  await announceOrders(tx, [...counts.keys()]);
  return counts;
}
