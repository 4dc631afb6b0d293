import type { JobTotal, Json } from './job.ts';

// For kinds that compare copies with what they are made of, and keep the first differences with the run.

const keptDifferences = 100;

/** The differences that a run keeps, at most 100: those it has and the first of those that were found. */
export function keptWith<Found, Kept>(
  kept: readonly Kept[],
  found: readonly Found[],
  keep: (found: Found) => Kept,
): readonly Kept[] {
  const more = found.slice(0, Math.max(0, keptDifferences - kept.length));
  return more.length === 0 ? kept : [...kept, ...more.map(keep)];
}

interface Compared<Cursor, Plan> {
  readonly cursor: Cursor;
  readonly plan: Plan;
}

export interface Telling<Cursor, Plan> {
  planned(batch: Compared<Cursor, Plan>): void;
  /** A batch is planned behind this cursor. */
  reached(cursor: Cursor): void;
}

/** Tells of a batch once it is done: when the next one is planned behind it. A batch that is tried again is told of once. */
export function tellWhenDone<Cursor extends Json, Plan>(tell: (plan: Plan) => void): Telling<Cursor, Plan> {
  let pending: Compared<Cursor, Plan> | null = null;
  return {
    planned(batch) {
      pending = batch;
    },
    reached(cursor) {
      if (pending === null || JSON.stringify(pending.cursor) !== JSON.stringify(cursor)) return;
      tell(pending.plan);
      pending = null;
    },
  };
}

// So many are counted in some hundredths of a second.
const countedRows = 100_000;

export interface RowsOfTable {
  /** Counts, and stops at so many. */
  countUpTo(most: number): Promise<number>;
  /** What the planner of the database supposes. */
  planned(): Promise<number>;
}

/** The rows of a table that may be large: counted where they are few, else estimated. */
export async function countedOrPlanned({ countUpTo, planned }: RowsOfTable): Promise<JobTotal> {
  const counted = await countUpTo(countedRows);
  if (counted < countedRows) return { rows: counted, precision: 'exact' };
  return { rows: Math.max(counted, await planned()), precision: 'estimate' };
}
