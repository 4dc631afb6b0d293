import type { JobRun, JobTotal } from './job.ts';
import { addCounts } from './job-run-row.ts';
import { batchDone, figuresAt, type ProgressFigures, startProgress } from './progress.ts';

/** What was done of a run, by earlier processes and by this one, and how fast by this one. */
export interface Meter {
  /** The first batch begins, or the speed was changed by hand: what was measured before says nothing any more. */
  restart(): void;
  committed(batch: { rows: number; failedRows: number; counts: Readonly<Record<string, number>> }): void;
  setBatchRows(rows: number): void;
  setTotal(total: JobTotal | null): void;
  retried(): void;
  figures(): Pick<JobRun, 'batchRows' | 'retries'> & ProgressFigures;
  counted(): Pick<JobRun, 'doneRows' | 'failedRows' | 'counts' | 'total'>;
}

/** @param now active time of this process at the run, in milliseconds */
export function createMeter(atClaim: JobRun, now: () => number): Meter {
  let { doneRows, failedRows, counts, batchRows, retries, total } = atClaim;
  let progress = startProgress(0);
  return {
    restart() {
      progress = startProgress(now());
    },
    committed(batch) {
      doneRows += batch.rows;
      failedRows += batch.failedRows;
      counts = addCounts([counts, batch.counts]);
      progress = batchDone(progress, now(), batch.rows);
    },
    setBatchRows(rows) {
      batchRows = rows;
    },
    setTotal(found) {
      total = found;
    },
    retried() {
      retries++;
    },
    figures() {
      const leftRows = total === null ? null : Math.max(0, total.rows - doneRows);
      return { batchRows, retries, ...figuresAt(progress, now(), leftRows) };
    },
    counted: () => ({
      doneRows,
      failedRows,
      counts,
      total: total === null ? null : { ...total, rows: Math.max(total.rows, doneRows) },
    }),
  };
}
