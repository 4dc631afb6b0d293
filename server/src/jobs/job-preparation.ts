import type { Database } from '../storage/database.ts';
import type { JobRange, JobWork, Json } from './job.ts';
import { lockTimeoutMs } from './job-batch.ts';
import { LostRunError, StoppedError } from './job-faults.ts';
import type { Hand } from './job-hand.ts';
import type { Patience } from './job-patience.ts';
import {
  enterTransaction,
  insertRanges,
  markBegun,
  selectRanges,
  storeTotal,
  writeHeartbeat,
} from './job-range-queries.ts';
import { selectRun } from './job-run-queries.ts';
import { runOf } from './job-run-row.ts';

export interface PreparationDeps {
  readonly deps: { readonly db: Database };
  readonly hand: Hand;
  readonly patience: Patience;
}

/** What is done once a run, before its first batch; whoever takes the run over goes on where it stopped. null = stopped. */
export async function prepareRun(run: PreparationDeps, work: JobWork): Promise<true | null> {
  const { hand, patience } = run;
  hand.gate.wait('kind', 'preparing');
  try {
    if ((await patience.insist(() => begin(run, work))) === null) return null;
    if ((await patience.insist(() => cutIntoRanges(run, work))) === null) return null;
    return true;
  } finally {
    hand.gate.wait('kind', null);
  }
}

async function begin({ deps, hand }: PreparationDeps, work: JobWork): Promise<void> {
  const { runId } = hand.claim.row;
  const [row] = await deps.db.query(selectRun(runId));
  if (row === undefined) throw new LostRunError();
  if (row.begunAt !== null) return;
  await deps.db.transaction(async (tx) => {
    // A copy of a large table takes its time.
    await tx.run(enterTransaction(runId, lockTimeoutMs, 0));
    await work.begin?.(tx);
    const begun = await tx.run(markBegun(runId, hand.claim.fence));
    if (begun.length === 0) await learnWhy({ deps, hand });
  });
}

async function cutIntoRanges({ deps, hand }: PreparationDeps, work: JobWork): Promise<void> {
  const { runId } = hand.claim.row;
  const { fence } = hand.claim;
  if ((await deps.db.query(selectRanges(runId))).length > 0) {
    const [row] = await deps.db.query(selectRun(runId));
    if (row !== undefined) hand.meter.setTotal(runOf(row).total);
    return;
  }
  const total = await work.total();
  const whole: readonly JobRange<Json>[] = [{ from: null, to: null }];
  const ranges = work.ranges === undefined ? whole : await work.ranges();
  await deps.db.transaction(async (tx) => {
    const stored = await tx.run(storeTotal(runId, fence, total));
    if (stored.length === 0) await learnWhy({ deps, hand });
    // Nothing to do at all is one range without rows: `finish` proves it.
    await tx.run(insertRanges(runId, fence, ranges.length === 0 ? whole : ranges));
  });
  hand.meter.setTotal(total);
}

/** The run refused a write of this claim: it is lost, or somebody paused or cancelled it. @throws LostRunError, StoppedError */
export async function learnWhy({ deps, hand }: Pick<PreparationDeps, 'deps' | 'hand'>): Promise<never> {
  const [told] = await deps.db.query(writeHeartbeat(hand.claim.row.runId, hand.claim.fence, hand.figures()));
  if (told !== undefined) hand.told(told);
  throw hand.signal.aborted ? new StoppedError() : new LostRunError();
}
