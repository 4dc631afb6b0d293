import type { OrderId } from '../../core/ids.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type StatusRow, stateOf } from './order-status.ts';
import { historiesOf } from './order-statuses-queries.ts';
import {
  countWindow,
  differencesIn,
  type KeyPlace,
  keysAfter,
  type OrderDifference,
  type OrderDifferenceKind,
  windowEnd,
} from './order-verify-queries.ts';
import { type IdSpan, idSpan } from './order-walk.ts';
import { existingOrders, lockOrders, updateOrderStates } from './orders-queries.ts';

/** Something that the tables of orders do not agree about. */
export interface Difference {
  readonly kind: OrderDifferenceKind | 'key_without_order';
  readonly orderId: OrderId;
  readonly mended: boolean;
}

export interface VerifyCounts {
  readonly orders: number;
  readonly statuses: number;
  readonly keys: number;
  readonly differences: number;
  /** Differences that are no more: copies that were made anew from the log. */
  readonly mended: number;
}

export interface VerifyRequest {
  /** Makes the copies of differing orders anew from their logs. */
  readonly repair: boolean;
  readonly signal: AbortSignal;
  /** Called after each window with the counts so far. */
  readonly onProgress: (counts: VerifyCounts) => void;
  readonly onDifference: (difference: Difference) => void;
  /** Orders compared by one statement; default 50,000. */
  readonly windowOrders?: number;
}

export interface OrderVerifier {
  /**
   * Recomputes the status of every order from its log and compares, window by window: bounded in memory and in time per
   * statement. Writes that go on meanwhile cause no differences: each window is compared at one moment, and what differs is
   * looked at again.
   */
  verifyOrders(request: VerifyRequest): Promise<VerifyCounts>;
}

type Counts = { -readonly [Name in keyof VerifyCounts]: VerifyCounts[Name] };

const defaultWindowOrders = 50_000;
const keyPageRows = 20_000;
const repairOrders = 500;

export const createOrderVerifier = (db: Database): OrderVerifier => ({
  async verifyOrders(request) {
    const counts: Counts = { orders: 0, statuses: 0, keys: 0, differences: 0, mended: 0 };
    for await (const span of windows(db, request.windowOrders ?? defaultWindowOrders)) {
      request.signal.throwIfAborted();
      await verifyWindow(db, request, { span, counts });
      request.onProgress(counts);
    }
    await verifyKeys(db, request, counts);
    return counts;
  },
});

/** Cuts all ids into spans of so many orders. */
async function* windows(db: Database, orders: number): AsyncGenerator<IdSpan> {
  let rest = idSpan(null, null);
  for (;;) {
    const [end] = await db.query(windowEnd(rest, orders));
    if (end === undefined) break;
    yield { from: rest.from, to: end.orderId };
    rest = { from: end.orderId, to: rest.to };
  }
  yield rest;
}

async function verifyWindow(
  db: Database,
  request: VerifyRequest,
  { span, counts }: { span: IdSpan; counts: Counts },
): Promise<void> {
  const [row] = await db.query(countWindow(span));
  counts.orders += Number(row?.orders ?? 0n);
  counts.statuses += Number(row?.statuses ?? 0n);
  const found = await lastingDifferences(db, span);
  counts.differences += found.length;
  const mended = request.repair ? await mend(db, found) : new Set<OrderId>();
  counts.mended += mended.size;
  for (const { kind, orderId } of found) request.onDifference({ kind, orderId, mended: mended.has(orderId) });
}

/** On several servers one statement does not see one moment: only what differs twice differs. */
async function lastingDifferences(db: Database, span: IdSpan): Promise<OrderDifference[]> {
  const first = await db.query(differencesIn(span));
  if (first.length === 0) return [];
  const again = new Set((await db.query(differencesIn(span))).map(({ kind, orderId }) => `${kind} ${orderId}`));
  return first.filter(({ kind, orderId }) => again.has(`${kind} ${orderId}`));
}

async function mend(db: Database, found: readonly OrderDifference[]): Promise<Set<OrderId>> {
  // Without its log or without its row there is nothing to copy from or to.
  const ids = found.filter(({ kind }) => kind === 'status_differs').map(({ orderId }) => orderId);
  const mended = new Set<OrderId>();
  for (let i = 0; i < ids.length; i += repairOrders) {
    const part = ids.slice(i, i + repairOrders);
    for (const orderId of await db.transaction((tx) => mendIn(tx, part))) mended.add(orderId);
  }
  return mended;
}

async function mendIn(tx: Transaction, ids: readonly OrderId[]): Promise<OrderId[]> {
  const locked = await tx.run(lockOrders(ids));
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
  return (await tx.run(updateOrderStates(states))).map(({ orderId }) => orderId);
}

/** Every key leads to an order. Keys are read first: an order that is written meanwhile is there before its key is seen. */
async function verifyKeys(db: Database, request: VerifyRequest, counts: Counts): Promise<void> {
  for (let after: KeyPlace | null = null; ; ) {
    request.signal.throwIfAborted();
    const keys: KeyPlace[] = await db.query(keysAfter(after, keyPageRows));
    if (keys.length === 0) return;
    const orders = await db.query(existingOrders(keys.map(({ orderId }) => orderId)));
    const there = new Set(orders.map(({ orderId }) => orderId));
    for (const { orderId } of keys) {
      if (there.has(orderId)) continue;
      counts.differences++;
      request.onDifference({ kind: 'key_without_order', orderId, mended: false });
    }
    counts.keys += keys.length;
    request.onProgress(counts);
    after = keys[keys.length - 1] ?? null;
  }
}
