import { createLookAhead } from '../../core/look-ahead.ts';
import type { JobContext } from '../../jobs/job.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { bindCsv, type CsvReading, orderOfRows } from './order-import-csv.ts';
import type { ReadOrder } from './order-import-part.ts';
import type { ImportStore, Reader } from './order-import-store-service.ts';

/** An order as its rows in the store make it. */
export interface StagedOrder {
  readonly key: string;
  /** The line its first row stands on. */
  readonly line: number;
  readonly rows: number;
  readonly order: ReadOrder;
}

/** The orders of a CSV file once all its rows are put away: the next ones are read and judged while some are written. */
export interface OrdersInHand {
  /** Orders behind that of a key, with at least so many rows while there are any. */
  after(tx: Transaction, key: string, rows: number): Promise<readonly StagedOrder[]>;
  settle(): Promise<void>;
}

interface Numbered extends StagedOrder {
  /** Counted as they come: keys compare otherwise here than in the database. */
  readonly n: number;
}

export function createOrdersInHand(
  store: ImportStore,
  reading: CsvReading,
  { db, rehearsal }: Pick<JobContext<unknown>, 'db' | 'rehearsal'>,
): OrdersInHand {
  let pulledTo: string | null = null;
  let pulled = 0;
  let given: readonly Numbered[] = [];
  let doneTo = 0;

  const pull = async (read: Reader, rows: number): Promise<Numbered[] | null> => {
    const { header } = await store.file(read);
    const file = bindCsv({ line: 1, cells: header, fault: null }, reading);
    const found = await store.ordersAfter(read, pulledTo ?? '', Math.ceil(rows));
    const last = found.at(-1);
    if (last === undefined) return null;
    pulledTo = last.key;
    return found.map(({ key, rows: own }) => ({
      key,
      line: own[0]?.line ?? 0,
      rows: own.length,
      order: orderOfRows(own, file),
      n: ++pulled,
    }));
  };
  const ahead = createLookAhead<Numbered, Reader>({
    pull,
    weightOf: ({ rows }) => rows,
    sizeOf: () => 0,
    maxSize: Number.POSITIVE_INFINITY,
    // What a rehearsal has put away is seen by its own transaction only.
    background: rehearsal ? null : db.query,
  });
  return {
    async after(tx, key, rows) {
      pulledTo ??= key;
      const last = given.at(-1);
      if (last?.key === key) doneTo = last.n;
      given = await ahead.take({ reader: tx.run, weight: rows, isDone: ({ n }) => n <= doneTo });
      return given;
    },
    settle: ahead.settle,
  };
}
