import type { OrderId } from '../../core/ids.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { announceOrders } from './order-announcement-service.ts';
import { lockAll } from './order-lock-service.ts';
import { type StatusRow, stateOf } from './order-status.ts';
import { historiesOf } from './order-statuses-queries.ts';
import {
  countWindow,
  differencesIn,
  type KeyPlace,
  type OrderDifference,
  type OrderDifferenceKind,
} from './order-verify-queries.ts';
import type { IdSpan } from './order-walk.ts';
import { existingOrders, updateOrderStates } from './orders-queries.ts';

/** Something that the tables of orders do not agree about. */
export interface Difference {
  readonly kind: OrderDifferenceKind | 'key_without_order';
  readonly orderId: OrderId;
  readonly mended: boolean;
}

/** What was found in a part of the orders. */
export interface Verified {
  readonly orders: number;
  readonly statuses: number;
  readonly keys: number;
  readonly differences: readonly Found[];
}

export type Found = Omit<Difference, 'mended'>;

/**
 * Recomputes the status of every order of a span from its log and compares. Writes that go on meanwhile cause no differences: the
 * span is compared at one moment, and what differs is looked at again.
 */
export async function verifySpan(tx: Transaction, span: IdSpan): Promise<Verified> {
  const [row] = await tx.run(countWindow(span));
  return {
    orders: Number(row?.orders ?? 0n),
    statuses: Number(row?.statuses ?? 0n),
    keys: 0,
    differences: await lastingDifferences(tx, span),
  };
}

/** On several servers one statement does not see one moment: only what differs twice differs. */
async function lastingDifferences(tx: Transaction, span: IdSpan): Promise<OrderDifference[]> {
  const first = await tx.run(differencesIn(span));
  if (first.length === 0) return [];
  const again = new Set((await tx.run(differencesIn(span))).map(({ kind, orderId }) => `${kind} ${orderId}`));
  return first.filter(({ kind, orderId }) => again.has(`${kind} ${orderId}`));
}

/** Without its log or without its row there is nothing to copy from or to. */
export const isMendable = ({ kind }: Found): boolean => kind === 'status_differs';

const repairOrders = 500;

/** Makes the copies of differing orders anew from their logs. @returns how many */
export async function mendOrders(tx: Transaction, found: readonly Found[]): Promise<number> {
  const ids = found.filter(isMendable).map(({ orderId }) => orderId);
  let mended = 0;
  for (let i = 0; i < ids.length; i += repairOrders)
    mended += (await mendThese(tx, ids.slice(i, i + repairOrders))).length;
  return mended;
}

async function mendThese(tx: Transaction, ids: readonly OrderId[]): Promise<OrderId[]> {
  const locked = await lockAll(tx, ids);
  const histories = new Map<OrderId, StatusRow[]>();
  for (const { orderId, ...row } of await tx.run(historiesOf(ids))) {
    const history = histories.get(orderId) ?? [];
    history.push(row);
    histories.set(orderId, history);
  }
  const states = locked.flatMap(({ orderId }) => {
    const history = histories.get(orderId);
    return history === undefined ? [] : [{ orderId, ...stateOf(history) }];
  });
  const mended = (await tx.run(updateOrderStates(states))).map(({ orderId }) => orderId);
  await announceOrders(tx, mended);
  return mended;
}

/** Every key leads to an order. Keys were read before: an order that is written meanwhile is there before its key is seen. */
export async function verifyKeys(tx: Transaction, keys: readonly KeyPlace[]): Promise<Verified> {
  const orders = await tx.run(existingOrders(keys.map(({ orderId }) => orderId)));
  const there = new Set(orders.map(({ orderId }) => orderId));
  return {
    orders: 0,
    statuses: 0,
    keys: keys.length,
    differences: keys
      .filter(({ orderId }) => !there.has(orderId))
      .map(({ orderId }) => ({ kind: 'key_without_order', orderId })),
  };
}
