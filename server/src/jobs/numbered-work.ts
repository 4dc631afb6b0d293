import { z } from 'zod';
import type { Instant } from '../core/time.ts';
import type { BatchAsk, JobBatch, JobRange, JobTotal, JobWork, RunId } from './job.ts';

// For kinds that make rows up: row n is the n-th of the run, from 1 on, and the cursor is the last number that was made.

/** The numbers of one batch, both included. */
export interface Numbers {
  readonly first: number;
  readonly last: number;
}

/** The parts of a job's work that are the same whatever its rows are. */
export interface NumberedWork extends Pick<JobWork<number, Numbers>, 'plan'> {
  total(): Promise<JobTotal>;
  ranges(): Promise<readonly JobRange<number>[]>;
}

export interface NumberedWorkOptions {
  /** Rows in all. */
  readonly count: number;
  /** Fewer rows than these are one range. */
  readonly worthDividing: number;
  /** Names a row that could not be made. */
  rowKey(number: number): string;
}

/** Makes the rows 1 to `count` in batches, in two ranges that may run at the same time where it is worth it. */
export const numberedWork = ({ count, worthDividing, rowKey }: NumberedWorkOptions): NumberedWork => ({
  total: async () => ({ rows: count, precision: 'exact' }),
  ranges: async () => (count < worthDividing ? [{ from: null, to: null }] : divided(count)),
  plan: async (_tx, ask) => batchOf(ask, { count, rowKey }),
});

// While one transaction waits for the database the rows of the other are encoded; more wait for each other's processor.
const ranges = 2;

function divided(count: number): JobRange<number>[] {
  const edges = Array.from({ length: ranges + 1 }, (_, i) => Math.round((count * i) / ranges));
  return edges.slice(1).map((to, i) => ({ from: edges[i] ?? null, to }));
}

function batchOf(
  { after, upTo, rows }: BatchAsk<number>,
  { count, rowKey }: Pick<NumberedWorkOptions, 'count' | 'rowKey'>,
): JobBatch<number, Numbers> | null {
  const first = (after ?? 0) + 1;
  const last = Math.min(first + rows - 1, upTo ?? count);
  if (first > last) return null;
  return { rows: last - first + 1, cursor: last, plan: { first, last }, rowKey: rowKey(first) };
}

/** What `make` makes of each number, in their order. */
export const eachNumber = <T>({ first, last }: Numbers, make: (number: number) => T): T[] =>
  Array.from({ length: last - first + 1 }, (_, i) => make(first + i));

/** The parameter `seed`. @param rows what is made up, in the plural */
export const seedParameter = (rows: string) =>
  z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .nullable()
    .default(null)
    .meta({ description: `The same seed and parameters make the same ${rows}; drawn by lot where it is left out.` });

// A run's id is a UUID version 7: it begins with the time it was made at and ends with bits that were drawn by lot. What is
// drawn from it is the same for whoever goes on with the run.

/** When the run was made. */
export const startOf = (runId: RunId): Instant =>
  Number.parseInt(runId.slice(0, 8) + runId.slice(9, 13), 16) as Instant;

/** The seed of a run that was given none: 32 bits. */
export const drawnSeed = (runId: RunId): number => Number.parseInt(runId.slice(-8), 16);
