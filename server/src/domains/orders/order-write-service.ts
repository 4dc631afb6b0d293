import type { Bucket } from '../../core/bucket.ts';
import type { Currency } from '../../core/money.ts';
import { type Clock, type Instant, type Month, monthOf, startOfMonth } from '../../core/time.ts';
import type { CustomerLayouts } from '../../storage/customer-layouts.ts';
import type { CustomerWrites } from '../../storage/customer-writes.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError, SupersededError } from '../../storage/faults.ts';
import { writeHalving } from '../../storage/halving.ts';
import { ensureMonths, ensureMonthsIn, oldestMonth, readyMonths } from '../../storage/partitions.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { NewOrder } from './order.ts';
import {
  type Candidate,
  housed,
  type WriteMethod,
  type WriteOutcome,
  writeBatch,
  writeBatchIn,
} from './order-batch-service.ts';
import { placeOrder } from './order-placement.ts';
import { previewBatch } from './order-preview-service.ts';
import { futureToleranceMs } from './order-status.ts';

/** One order to be written, with what the request says beside the document. */
export interface OrderToWrite {
  readonly order: NewOrder;
  /** The Idempotency-Key; counts only where the order has no number. */
  readonly requestKey: string | null;
  readonly actor: string;
}

export interface WriteOptions {
  readonly by: WriteMethod;
  /** Whether months before the ready ones are made (imports) or their orders refused (the API). */
  readonly olderMonths: 'make' | 'refuse';
  /**
   * What happens to orders that the database refuses: they are found by halving and refused alone, each half a transaction
   * (the default), or the write throws and nothing is stored: for callers who halve themselves.
   */
  readonly badRows?: 'isolate' | 'throw';
}

export interface OrderWriter {
  /**
   * Writes all orders in one transaction (see `badRows` for the exception); outcomes in the order of the input. Waits for
   * customers that are being moved to another layout. @throws StorageError `storage_overloaded` when that takes 2 s
   */
  write(orders: readonly OrderToWrite[], options: WriteOptions): Promise<WriteOutcome[]>;
  /**
   * The same for single orders of ready months that were collected: `moving` for those whose customer is being moved, which wait for nobody.
   * @param near see TransactionOptions
   */
  writeCollected(orders: readonly OrderToWrite[], near?: Bucket): Promise<(WriteOutcome | 'moving')[]>;
  /** Waits until the orders of this customer may be written. */
  whenWritable(customerId: string, deadlineMs: number): Promise<void>;
  /**
   * The same in a transaction of the caller's, by COPY; an order that the database refuses is refused alone. Older months are made:
   * in a session of their own, or in the very transaction where everything is to be rolled back.
   */
  writeIn(tx: Transaction, orders: readonly OrderToWrite[], months: 'apart' | 'within'): Promise<WriteOutcome[]>;
  /** What `write` would answer, found out without writing; how many rows a history would add is not looked up. */
  preview(orders: readonly OrderToWrite[], options: Pick<WriteOptions, 'olderMonths'>): Promise<WriteOutcome[]>;
}

export interface OrderWriterDeps {
  readonly db: Database;
  readonly layouts: CustomerLayouts;
  readonly writes: CustomerWrites;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
}

const rowRefused: WriteOutcome = { kind: 'refused', code: 'row_refused', orderId: null };

/** Gives orders that were sent their ids and homes, by the layouts of now. */
function createPlacing({ layouts, clock, defaultCurrency }: Omit<OrderWriterDeps, 'db' | 'writes'>) {
  const candidateOf = ({ order, requestKey, actor }: OrderToWrite, now: Instant, oldest: Instant): Candidate => {
    const wanted = order.placedAt ?? now;
    const refusal = refusalOf(order, wanted, { now, oldest });
    const placed = placeOrder(order, requestKey, {
      now,
      // A refused order needs an id only to be compared with one stored before; an instant like year 0001 has none.
      placedAt: refusal === null ? wanted : now,
      actor,
      defaultCurrency,
      layouts: layouts.layoutsOf(order.customerId),
      chance: Math.random(),
    });
    return { placed, statuses: order.statuses, actor, refusal };
  };
  return (orders: readonly OrderToWrite[], olderMonths: WriteOptions['olderMonths']): Candidate[] => {
    const now = clock.now();
    const oldest = startOfMonth(olderMonths === 'make' ? oldestMonth : (readyMonths(now)[0] as Month));
    return orders.map((order) => candidateOf(order, now, oldest));
  };
}

export function createOrderWriter({ db, writes, ...placing }: OrderWriterDeps): OrderWriter {
  const candidatesOf = createPlacing(placing);
  const made = new Set<Month>();
  const makeMonths = async (candidates: readonly Candidate[]): Promise<void> => {
    const missing = monthsIn(candidates).filter((month) => !made.has(month));
    if (missing.length === 0) return;
    await ensureMonths(db, missing);
    for (const month of missing) made.add(month);
  };

  /** Gives the orders their homes and writes them, again where their customers were moved in between. */
  const writePart = (orders: readonly OrderToWrite[], { by, olderMonths }: WriteOptions): Promise<WriteOutcome[]> =>
    writes.insist(customersOf(orders), async () => {
      const candidates = candidatesOf(orders, olderMonths);
      if (olderMonths === 'make') await makeMonths(candidates);
      return candidates.length === 0 ? [] : writeBatch(db, candidates, { method: by, writes });
    });

  return {
    preview: (orders, { olderMonths }) => previewBatch(db, candidatesOf(orders, olderMonths)),
    whenWritable: (customerId, deadlineMs) => writes.whenWritable([customerId], deadlineMs),
    async write(orders, options) {
      if (options.badRows === 'throw') return writePart(orders, options);
      return writeHalving(
        orders,
        (part) => writePart(part, options),
        () => rowRefused,
      );
    },
    writeCollected: (orders, near) =>
      writes.insist([], async () => {
        const free = orders.filter(({ order }) => !writes.isMoving(order.customerId));
        const candidates = candidatesOf(free, 'refuse');
        const written = free.length === 0 ? [] : await writeBatch(db, candidates, { method: 'insert', writes, near });
        const outcomes = new Map(free.map((order, i) => [order, written[i] as WriteOutcome]));
        return orders.map((order) => outcomes.get(order) ?? 'moving');
      }),
    async writeIn(tx, orders, months) {
      await writes.whenWritable(customersOf(orders)).catch(asBusy);
      await writes.enter(tx);
      // From here to the check nothing is waited for: the homes are those of layouts that hold in this transaction.
      const candidates = candidatesOf(orders, 'make');
      checkIn(writes, candidates);
      if (candidates.length === 0) return [];
      await (months === 'within' ? ensureMonthsIn(tx, monthsIn(candidates)) : makeMonths(candidates));
      return writeHalving(
        candidates,
        (part) => writeBatchIn(tx, part),
        () => rowRefused,
      );
    },
  };
}

const customersOf = (orders: readonly OrderToWrite[]): string[] => orders.map(({ order }) => order.customerId);

function checkIn(writes: CustomerWrites, candidates: readonly Candidate[]): void {
  try {
    writes.check(housed(candidates));
  } catch (error) {
    asBusy(error);
  }
}

/** For whoever owns the transaction, a customer that is being moved is like rows that are locked: the whole of it is run again. */
function asBusy(error: unknown): never {
  const isBusy = error instanceof SupersededError || (error instanceof StorageError && error.fault === null);
  if (!isBusy) throw error;
  throw new StorageError('storage_overloaded', error.message, { fault: { kind: 'serialization', sqlstate: null } });
}

/** Months of the orders that are to be stored. */
const monthsIn = (candidates: readonly Candidate[]): Month[] => [
  ...new Set(candidates.filter((c) => c.refusal === null).map(({ placed }) => monthOf(placed.order.placedAt))),
];

function refusalOf(
  order: NewOrder,
  placedAt: Instant,
  { now, oldest }: { now: Instant; oldest: Instant },
): Candidate['refusal'] {
  const latest = now + futureToleranceMs;
  if (placedAt < oldest || placedAt > latest) return 'placed_at_out_of_range';
  return order.statuses?.some(({ occurredAt }) => occurredAt > latest) === true ? 'occurred_at_in_future' : null;
}
