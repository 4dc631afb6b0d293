import type { Day } from '../../core/days.ts';
import type { Session } from '../../storage/database.ts';
import { batchIndexOf, rawPartitionOf } from '../../storage/day-partitions.ts';
import { StorageError } from '../../storage/faults.ts';
import { inTransaction } from '../../storage/session-transaction.ts';
import { analyseBatches, findAnalysed, summariseIndex } from './usage-rollup-queries.ts';

/** Keeps batches quick to find in the raw rows: what is new to the index of a day, and what the planner knows of it. */
export interface RawIndex {
  /** Rows were written, evenly over these days. */
  wrote(rows: number, days: readonly [first: Day, last: Day]): void;
  /** Brings days up to date that got many rows. To be called outside a transaction. */
  keepUp(): Promise<void>;
}

// A partition with fewer new rows than that is read in no time.
const rowsWorthLooking = 5_000;

export function createRawIndex(session: Session, isCitus: boolean): RawIndex {
  const newRows = new Map<Day, number>();
  const analysed = new Set<Day>();

  /**
   * Autovacuum looks at a new day after a minute or two. Until then the planner takes a batch for strewn over all of it, and reads
   * the whole day for each rollup: after a minute of ingest 44 us a record, not 3.
   */
  const analyseOnce = async (day: Day): Promise<void> => {
    if (analysed.has(day)) return;
    const table = rawPartitionOf(day);
    if ((await session.run(findAnalysed(table))).length === 0) await session.run(analyseBatches(table));
    analysed.add(day);
  };

  return {
    wrote(rows, [first, last]) {
      const each = rows / (last - first + 1);
      for (let day = first; day <= last; day++) newRows.set(day as Day, (newRows.get(day as Day) ?? 0) + each);
    },
    async keepUp() {
      for (const [day, rows] of newRows) {
        if (rows < rowsWorthLooking) continue;
        try {
          await inTransaction(session, async () => {
            // A vacuum that is at the same table does both as well, so nobody waits for it.
            await session.script(`set local lock_timeout = '50ms'`);
            // Of Citus the index stands on other nodes, where vacuum does it.
            if (!isCitus) await session.run(summariseIndex(batchIndexOf(day)));
            await analyseOnce(day);
          });
          newRows.delete(day);
        } catch (error) {
          if (!(error instanceof StorageError) || error.fault?.kind === 'unavailable') throw error;
        }
      }
    },
  };
}
