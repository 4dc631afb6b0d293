import type { Currency } from '../../core/money.ts';
import { type Clock, type Instant, type Month, monthOf, startOfMonth } from '../../core/time.ts';
import type { CustomerLayouts } from '../../storage/customer-layouts.ts';
import type { Database } from '../../storage/database.ts';
import { writeHalving } from '../../storage/halving.ts';
import { ensureMonths, ensureMonthsIn, oldestMonth, readyMonths } from '../../storage/partitions.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { NewOrder } from './order.ts';
import {
  type Candidate,
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
  /** Writes all orders in one transaction (see `badRows` for the exception); outcomes in the order of the input. */
  write(orders: readonly OrderToWrite[], options: WriteOptions): Promise<WriteOutcome[]>;
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
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
}

const rowRefused: WriteOutcome = { kind: 'refused', code: 'row_refused', orderId: null };

export function createOrderWriter({ db, layouts, clock, defaultCurrency }: OrderWriterDeps): OrderWriter {
  const made = new Set<Month>();

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

  const makeMonths = async (candidates: readonly Candidate[]): Promise<void> => {
    const missing = monthsIn(candidates).filter((month) => !made.has(month));
    if (missing.length === 0) return;
    await ensureMonths(db, missing);
    for (const month of missing) made.add(month);
  };

  const candidatesOf = (orders: readonly OrderToWrite[], olderMonths: WriteOptions['olderMonths']): Candidate[] => {
    const now = clock.now();
    const oldest = startOfMonth(olderMonths === 'make' ? oldestMonth : (readyMonths(now)[0] as Month));
    return orders.map((order) => candidateOf(order, now, oldest));
  };

  return {
    preview: (orders, { olderMonths }) => previewBatch(db, candidatesOf(orders, olderMonths)),
    async write(orders, { by, olderMonths, badRows = 'isolate' }) {
      await layouts.whenWritable(orders.map(({ order }) => order.customerId));
      const candidates = candidatesOf(orders, olderMonths);
      if (olderMonths === 'make') await makeMonths(candidates);
      if (candidates.length === 0) return [];
      const write = (part: readonly Candidate[]) => writeBatch(db, part, by);
      return badRows === 'throw' ? write(candidates) : writeHalving(candidates, write, () => rowRefused);
    },
    async writeIn(tx, orders, months) {
      await layouts.whenWritable(orders.map(({ order }) => order.customerId));
      const candidates = candidatesOf(orders, 'make');
      if (candidates.length === 0) return [];
      if (months === 'within') await ensureMonthsIn(tx, monthsIn(candidates));
      else await makeMonths(candidates);
      const write = (part: readonly Candidate[]) => tx.savepoint(() => writeBatchIn(tx, part, 'copy'));
      return writeHalving(candidates, write, () => rowRefused);
    },
  };
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
