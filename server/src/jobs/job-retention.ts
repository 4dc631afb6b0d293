import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobKind } from './job.ts';
import { deleteOldRowErrors, deleteOldRuns } from './job-retention-queries.ts';

export interface RetentionDeps {
  readonly db: Database;
  readonly logger: Logger;
  readonly kinds: readonly JobKind[];
}

export interface Swept {
  readonly runs: number;
  readonly rowErrors: number;
}

// Days after its end for which a run can be looked up.
const keepDays = 90;
const everyMs = 3_600_000;
// A statement deletes so many rows: its locks are short, and a server that stops need not wait.
const rowErrorsAtOnce = 5_000;
const runsAtOnce = 200;

/** A server's part: deletes old runs now and once an hour until the signal. Never rejects; what fails is tried at the next hour. */
export async function sweepUntil(signal: AbortSignal, deps: RetentionDeps): Promise<void> {
  while (!signal.aborted) {
    try {
      const swept = await sweepOldRuns(deps, signal);
      if (swept.runs > 0)
        deps.logger.info({ ...swept }, `deleted ${swept.runs} runs that were over more than ${keepDays} days ago`);
    } catch (error) {
      deps.logger.warn({ err: error }, 'cannot delete old runs; tries again in an hour');
    }
    await delay(everyMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/**
 * Deletes runs that were done or cancelled long ago, their failed rows first. Failed and unfinished runs stay, and so do runs of
 * kinds that keep theirs or that this server does not know. Several servers may do it at once.
 * @throws StorageError
 */
export async function sweepOldRuns({ db, kinds }: RetentionDeps, signal: AbortSignal): Promise<Swept> {
  const names = kinds.filter(({ keepsRuns }) => keepsRuns !== true).map(({ name }) => name);
  const repeat = async (deleteSome: () => Promise<{ deleted: bigint }[]>, atOnce: number): Promise<number> => {
    let sum = 0;
    while (!signal.aborted) {
      const deleted = Number((await deleteSome())[0]?.deleted ?? 0);
      sum += deleted;
      if (deleted < atOnce) break;
    }
    return sum;
  };
  const rowErrors = await repeat(() => db.query(deleteOldRowErrors(names, keepDays, rowErrorsAtOnce)), rowErrorsAtOnce);
  const runs = await repeat(() => db.query(deleteOldRuns(names, keepDays, runsAtOnce)), runsAtOnce);
  return { runs, rowErrors };
}
