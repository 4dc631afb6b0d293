import type { BatchLimits } from './job.ts';

/** A batch shall take so long: short enough that locks hurt nobody and a pause is quick, long enough that commits cost little. */
export const batchGoalMs = 100;

const growthAtMost = 1.2;

export interface MeasuredBatch {
  readonly askedRows: number;
  readonly rows: number;
  readonly durationMs: number;
}

/**
 * Rows for the next batch after one that was measured: grows by at most a fifth a step, shrinks at once. A batch that had
 * fewer rows than asked for (the end of a range) says nothing about larger ones.
 */
export function nextBatchRows(limits: BatchLimits, presentRows: number, batch: MeasuredBatch): number {
  const factor = Math.min(batchGoalMs / Math.max(batch.durationMs, 0.1), growthAtMost);
  if (factor > 1 && (batch.rows < batch.askedRows || batch.askedRows < presentRows)) return presentRows;
  const wanted = factor > 1 ? Math.ceil(presentRows * factor) : Math.floor(batch.rows * factor);
  // A slow batch that was cut short (a rate limit, a split) never makes the size grow.
  return clamp(limits, factor > 1 ? Math.min(wanted, grown(presentRows)) : Math.min(wanted, presentRows));
}

const grown = (rows: number): number => Math.max(rows + 1, Math.floor(rows * growthAtMost));

const clamp = (limits: BatchLimits, rows: number): number => Math.max(1, limits.min, Math.min(limits.max, rows));

/**
 * Finds rows that fail for their data: after a batch failed, half of it is asked for, and so on, until one row stands alone.
 * `suspectRows` = so many rows from here on are known to hold one that fails; 0 = none is looked for.
 */
export const afterRowFault = (failedRows: number): { suspectRows: number; askRows: number } => ({
  suspectRows: failedRows,
  askRows: Math.max(1, Math.floor(failedRows / 2)),
});

/** After a part of the suspects was done without a fault: the one that fails is among the rest. */
export function afterCleanPart(suspectRows: number, doneRows: number): { suspectRows: number; askRows: number } {
  const left = Math.max(0, suspectRows - doneRows);
  return { suspectRows: left, askRows: Math.max(1, Math.floor(left / 2)) };
}
