import type { OrderId } from '../../core/ids.ts';
import { copyChunks } from '../../storage/copy.ts';
import type { CustomerWrites, Housed } from '../../storage/customer-writes.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Transaction, TransactionOptions } from '../../storage/transaction.ts';
import type { Order, PlacedKey } from './order.ts';
import type { OrderErrorCode } from './order-errors.ts';
import {
  copyOrderKeys,
  insertOrderKeys,
  keyValues,
  type OrderKeyInsert,
  selectOrderKeys,
} from './order-keys-queries.ts';
import { mergeHistories } from './order-merge-service.ts';
import { byKey, keyIdentity, type PlacedOrder } from './order-placement.ts';
import type { ImportedStatus } from './order-status.ts';
import { asTheyAre, copyStatuses, insertStatuses, type StatusValues, statusValues } from './order-statuses-queries.ts';
import { copyOrders, insertOrders, orderValues } from './orders-queries.ts';

export type WriteOutcome =
  | { readonly kind: 'created'; readonly order: Order }
  /** The same document under the same key was stored before. `statusesAdded`: rows of its history that were new. */
  | { readonly kind: 'replayed'; readonly orderId: OrderId; readonly statusesAdded: number }
  | { readonly kind: 'refused'; readonly code: OrderErrorCode; readonly orderId: OrderId | null };

/** An order on its way into the database. */
export interface Candidate {
  readonly placed: PlacedOrder;
  /** The history that was submitted with it: a replay adds what is missing of it. */
  readonly statuses: readonly ImportedStatus[] | null;
  readonly actor: string;
  /** Why it may not be stored now. One that is too old or too new may still be a replay of one stored in its time. */
  readonly refusal: 'placed_at_out_of_range' | 'occurred_at_in_future' | null;
}

/** How rows travel: `insert` for up to some hundred, `copy` for thousands. */
export type WriteMethod = 'insert' | 'copy';

export interface BatchOptions extends Pick<TransactionOptions, 'near'> {
  readonly method: WriteMethod;
  readonly writes: CustomerWrites;
}

/**
 * Writes a batch in one transaction: keys first, then the orders whose keys were free, with their first history. What remains
 * was stored before (a replay) or has another document under its key. Running it again after a lost COMMIT does no harm: every
 * id was made before the transaction, so its own rows are recognised.
 * @throws SupersededError when a customer has moved since its orders were given their homes: nothing was written
 */
export function writeBatch(
  db: Database,
  candidates: readonly Candidate[],
  { method, writes, near }: BatchOptions,
): Promise<WriteOutcome[]> {
  let runs = 0;
  return byMethod(method, (by) =>
    db.transaction(
      (tx) => {
        writes.check(housed(candidates));
        return writeIn(tx, candidates, { method: by, again: runs++ > 0 });
      },
      { idempotent: true, sharedLock: writes.lock, near },
    ),
  );
}

/** COPY on Citus does not say why a row was refused (see faults.ts): where it may be a taken key, INSERT finds out. */
async function byMethod<T>(method: WriteMethod, write: (method: WriteMethod) => Promise<T>): Promise<T> {
  try {
    return await write(method);
  } catch (error) {
    if (method === 'insert' || !isTakenKey(error)) throw error;
    return write('insert');
  }
}

const isTakenKey = (error: unknown): boolean => error instanceof StorageError && error.fault?.kind === 'unique';

/** Where the orders were given their homes. */
export function* housed(candidates: readonly Candidate[]): Generator<Housed> {
  for (const { placed } of candidates) yield { customerId: placed.order.customerId, ways: placed.ways };
}

/**
 * The same by COPY in a transaction of the caller's, who knows after a lost COMMIT whether it was carried out, and who asked in it
 * whether these customers may be written. Where it throws, nothing was written and the transaction can go on.
 */
export const writeBatchIn = (tx: Transaction, candidates: readonly Candidate[]): Promise<WriteOutcome[]> =>
  byMethod('copy', (method) => tx.savepoint(() => writeIn(tx, candidates, { method, again: false })));

interface Run {
  readonly method: WriteMethod;
  /** The transaction ran before, and perhaps it was committed. */
  readonly again: boolean;
}

async function writeIn(tx: Transaction, candidates: readonly Candidate[], run: Run): Promise<WriteOutcome[]> {
  const stored = await findEarlier(tx, candidates);
  const { claimants, keyless } = sortOut(candidates, stored);
  const claimed = await claimKeys(tx, claimants, run.method);
  const created = [...claimants.filter(({ placed }) => claimed.has(placed.order.orderId)), ...keyless];
  await insertNew(
    tx,
    created.map(({ placed }) => placed),
    run,
  );

  const isCreated = new Set(created.map(({ placed }) => placed.order.orderId));
  const rest = candidates.filter(
    ({ placed, refusal }) => placed.key !== null && refusal === null && !isCreated.has(placed.order.orderId),
  );
  for (const [identity, row] of await findKeys(
    tx,
    rest.flatMap(({ placed }) => placed.key ?? []),
  ))
    stored.set(identity, row);

  const outcomes = candidates.map((candidate) => outcomeOf(candidate, { isCreated, stored }));
  return addHistories(tx, { candidates, outcomes, method: run.method });
}

interface StoredKey {
  readonly orderId: OrderId;
  readonly contentHash: string;
}
type StoredKeys = Map<string, StoredKey>;

async function findKeys(tx: Transaction, keys: readonly PlacedKey[]): Promise<StoredKeys> {
  if (keys.length === 0) return new Map();
  return new Map((await tx.run(selectOrderKeys(keys))).map((row) => [keyIdentity(row), row]));
}

/** Keys that stand under an earlier layout of their customer, and those of orders that are too old or too new to be stored now. */
const findEarlier = (tx: Transaction, candidates: readonly Candidate[]): Promise<StoredKeys> =>
  findKeys(
    tx,
    candidates.flatMap(({ placed, refusal }) => [
      ...placed.earlierKeys,
      ...(refusal === 'placed_at_out_of_range' && placed.key !== null ? [placed.key] : []),
    ]),
  );

/** Who may claim a key: the first of each key in the batch that no earlier layout knows. */
function sortOut(candidates: readonly Candidate[], stored: StoredKeys) {
  const claimants: Candidate[] = [];
  const keyless: Candidate[] = [];
  const seen = new Set<string>();
  for (const candidate of candidates) {
    const { key, identity } = candidate.placed;
    if (candidate.refusal !== null) continue;
    if (key === null) {
      keyless.push(candidate);
      continue;
    }
    if (seen.has(identity) || stored.has(identity)) continue;
    seen.add(identity);
    claimants.push(candidate);
  }
  return { claimants, keyless };
}

/** @returns the ids of the orders whose keys were free */
async function claimKeys(tx: Transaction, claimants: readonly Candidate[], method: WriteMethod): Promise<Set<OrderId>> {
  const rows = claimants
    .map(({ placed }) => placed)
    .sort(byKey)
    .map(toKeyRow);
  if (rows.length === 0) return new Set();
  if (method === 'copy') {
    try {
      // Most bulk rows are new: COPY first, and only where a key is taken the slower statement that says which ones.
      await tx.savepoint(() => tx.copyIn(copyOrderKeys, copyChunks(rows, keyValues)));
      return new Set(rows.map(({ orderId }) => orderId));
    } catch (error) {
      if (!isTakenKey(error)) throw error;
    }
  }
  return new Set((await tx.run(insertOrderKeys(rows))).map(({ orderId }) => orderId));
}

function toKeyRow(placed: PlacedOrder): OrderKeyInsert {
  if (placed.key === null) throw new RangeError('Only orders with a key claim one.');
  return { ...placed.key, orderId: placed.order.orderId, contentHash: placed.contentHash };
}

async function insertNew(tx: Transaction, orders: readonly PlacedOrder[], { method, again }: Run): Promise<void> {
  if (orders.length === 0) return;
  // What a lost first run stored, or is committing still, INSERT waits for and leaves alone; COPY would fail.
  if (method === 'copy' && !again) {
    await tx.copyIn(copyOrders, copyChunks(orders, orderValues));
    await tx.copyIn(copyStatuses, copyChunks(firstHistories(orders), asTheyAre));
    return;
  }
  await tx.run(insertOrders(orders));
  await tx.run(insertStatuses([...firstHistories(orders)]));
}

function* firstHistories(orders: readonly PlacedOrder[]): Generator<StatusValues> {
  for (const { order, history } of orders) for (const row of history) yield statusValues(order.orderId, row);
}

interface Found {
  readonly isCreated: ReadonlySet<OrderId>;
  readonly stored: StoredKeys;
}

function outcomeOf({ placed, refusal }: Candidate, { isCreated, stored }: Found): WriteOutcome {
  const { order, key, identity, contentHash } = placed;
  if (refusal === 'occurred_at_in_future') return { kind: 'refused', code: refusal, orderId: null };
  if (isCreated.has(order.orderId)) return { kind: 'created', order };
  const found = key === null ? undefined : stored.get(identity);
  // Our own id under our own key: this very transaction was committed before.
  if (found?.orderId === order.orderId) return { kind: 'created', order };
  if (found === undefined) {
    if (refusal === null) throw new StorageError('storage_fault', 'A key was neither free nor taken.');
    return { kind: 'refused', code: refusal, orderId: null };
  }
  return found.contentHash === contentHash
    ? { kind: 'replayed', orderId: found.orderId, statusesAdded: 0 }
    : { kind: 'refused', code: 'order_key_reused', orderId: found.orderId };
}

/** Replays that bring a history: what is missing of it is added to the stored one. */
async function addHistories(
  tx: Transaction,
  {
    candidates,
    outcomes,
    method,
  }: { readonly candidates: readonly Candidate[]; readonly outcomes: WriteOutcome[]; readonly method: WriteMethod },
): Promise<WriteOutcome[]> {
  const merges = candidates.flatMap(({ statuses, actor }, index) => {
    const outcome = outcomes[index];
    return outcome?.kind === 'replayed' && statuses !== null ? [{ orderId: outcome.orderId, statuses, actor }] : [];
  });
  if (merges.length === 0) return outcomes;
  const now = candidates[0]?.placed.history[0]?.recordedAt;
  if (now === undefined) return outcomes;
  const added = await mergeHistories(tx, merges, { now, method });
  return outcomes.map((outcome) =>
    outcome.kind === 'replayed' ? { ...outcome, statusesAdded: added.get(outcome.orderId) ?? 0 } : outcome,
  );
}
