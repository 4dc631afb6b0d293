import type { Currency } from '../../core/money.ts';
import { type Clock, type Instant, type Month, monthOf, startOfMonth } from '../../core/time.ts';
import type { CustomerLayouts } from '../../storage/customer-layouts.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import { ensureMonths, oldestMonth, readyMonths } from '../../storage/partitions.ts';
import type { NewOrder } from './order.ts';
import { type Candidate, type WriteMethod, type WriteOutcome, writeBatch } from './order-batch-service.ts';
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
  /** What `write` would answer, found out without writing; how many rows a history would add is not looked up. */
  preview(orders: readonly OrderToWrite[], options: Pick<WriteOptions, 'olderMonths'>): Promise<WriteOutcome[]>;
}

export interface OrderWriterDeps {
  readonly db: Database;
  readonly layouts: CustomerLayouts;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
}

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
    const months = new Set(
      candidates.filter((c) => c.refusal === null).map(({ placed }) => monthOf(placed.order.placedAt)),
    );
    const missing = [...months].filter((month) => !made.has(month));
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
      return badRows === 'throw' ? writeBatch(db, candidates, by) : writeHalving(db, candidates, by);
    },
  };
}

function refusalOf(
  order: NewOrder,
  placedAt: Instant,
  { now, oldest }: { now: Instant; oldest: Instant },
): Candidate['refusal'] {
  const latest = now + futureToleranceMs;
  if (placedAt < oldest || placedAt > latest) return 'placed_at_out_of_range';
  return order.statuses?.some(({ occurredAt }) => occurredAt > latest) === true ? 'occurred_at_in_future' : null;
}

/** A batch whose data make it fail is halved until the row that the database refuses stands alone. */
async function writeHalving(db: Database, candidates: readonly Candidate[], by: WriteMethod): Promise<WriteOutcome[]> {
  try {
    return await writeBatch(db, candidates, by);
  } catch (error) {
    if (!(error instanceof StorageError) || error.fault?.kind !== 'data') throw error;
    if (candidates.length === 1) return [{ kind: 'refused', code: 'row_refused', orderId: null }];
    const middle = candidates.length >> 1;
    const left = await writeHalving(db, candidates.slice(0, middle), by);
    return [...left, ...(await writeHalving(db, candidates.slice(middle), by))];
  }
}
