import type { BoundFile } from '../../core/import-reading.ts';
import { createLookAhead } from '../../core/look-ahead.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { JobContext } from '../job.ts';
import type { ImportStore, Reader } from './import-store.ts';

/** An item as its rows in the store make it. */
export interface StagedItem<Item> {
  readonly key: string;
  /** The line its first row stands on. */
  readonly line: number;
  readonly rows: number;
  readonly item: Item;
}

/** The items of a file once all its rows are put away: the next ones are read and judged while some are written. */
export interface ItemsInHand<Item> {
  /** Items behind that of a key, with at least so many rows while there are any. */
  after(tx: Transaction, key: string, rows: number): Promise<readonly StagedItem<Item>[]>;
  settle(): Promise<void>;
}

interface Numbered<Item> extends StagedItem<Item> {
  /** Counted as they come: keys compare otherwise here than in the database. */
  readonly n: number;
}

/** @param boundBy what the rows of the file make, once its first line is known */
export function createItemsInHand<Item>(
  store: ImportStore,
  boundBy: (read: Reader) => Promise<BoundFile<Item>>,
  { db, rehearsal }: Pick<JobContext<unknown>, 'db' | 'rehearsal'>,
): ItemsInHand<Item> {
  let pulledTo: string | null = null;
  let pulled = 0;
  let given: readonly Numbered<Item>[] = [];
  let doneTo = 0;

  const pull = async (read: Reader, rows: number): Promise<Numbered<Item>[] | null> => {
    const bound = await boundBy(read);
    const found = await store.groupsAfter(read, pulledTo ?? '', Math.ceil(rows));
    const last = found.at(-1);
    if (last === undefined) return null;
    pulledTo = last.key;
    return found.map(({ key, rows: own }) => ({
      key,
      line: own[0]?.line ?? 0,
      rows: own.length,
      item: bound.itemOf(own),
      n: ++pulled,
    }));
  };
  const ahead = createLookAhead<Numbered<Item>, Reader>({
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
