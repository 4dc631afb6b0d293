import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobEvent, JobFinish, JobOwner, JobState, JobWork, Json } from './job.ts';
import type { Audit } from './job-audit.ts';
import { messageOf, troubleOf } from './job-faults.ts';
import type { Hand } from './job-hand.ts';
import { endRun, leaveRun } from './job-range-queries.ts';
import { type AuditEntry, selectRun } from './job-run-queries.ts';
import { requireNextState } from './job-states.ts';

export type Ended = Extract<JobFinish<Json>, { kind: 'done' | 'failed' }>;

/** `lost` = another process has the run now. */
export type Outcome = 'ended' | 'lost';

export interface EndingDeps {
  readonly deps: { readonly db: Database; readonly logger: Logger; readonly audit: Audit; readonly me: JobOwner };
  readonly hand: Hand;
  /** The caller wants an end: a database that does not answer is waited for only a little. */
  readonly signal: AbortSignal;
}

export interface EndingOptions {
  readonly work: JobWork | null;
  readonly finish: Ended | null;
  readonly whenStopped: 'pause' | 'release';
  readonly openWork: () => Promise<JobWork>;
}

interface OwnEvent {
  readonly event: JobEvent;
  readonly error: string | null;
  readonly result: Json;
}

/** Writes how the run ended for this process, and tidies up what a cancelled run leaves. */
export async function conclude(run: EndingDeps, options: EndingOptions): Promise<Outcome> {
  const { hand } = run;
  if (hand.cause()?.kind === 'lost') return 'lost';
  for (const source of ['trouble', 'load', 'rate', 'kind'] as const) hand.gate.wait(source, null);
  if (hand.claim.row.state === 'cancelling') return tidyUp(run, options);
  const event = ownEvent(hand, options);
  if (event !== null && (await stubbornly(run, () => writeEnd(run, 'running', event)))) return 'ended';
  return settle(run, options);
}

/** What this process has to say; null = somebody else has said it. */
function ownEvent(hand: Hand, { finish, whenStopped }: EndingOptions): OwnEvent | null {
  if (finish?.kind === 'done') return { event: 'finish', error: null, result: finish.result };
  if (finish?.kind === 'failed') return { event: 'fail', error: finish.message, result: finish.result };
  const cause = hand.cause();
  switch (cause?.kind) {
    case 'failed':
      return { event: 'fail', error: cause.message, result: null };
    case 'asked':
      return { event: whenStopped, error: null, result: null };
    default:
      return null;
  }
}

const audited: Partial<Record<JobEvent, AuditEntry['action']>> = {
  finish: 'job.finish',
  fail: 'job.fail',
  pause: 'job.pause',
  cancelled: 'job.finish',
};

/** false = the run is no longer in that state, or lost. */
async function writeEnd({ deps, hand }: EndingDeps, from: JobState, own: OwnEvent): Promise<boolean> {
  const { runId, actor, kind } = hand.claim.row;
  const to = requireNextState(from, own.event);
  await deps.audit.prepare();
  return deps.db.transaction(async (tx) => {
    const figures = { ...hand.figures(), remainingMs: null, waitReason: null };
    const written = await tx.run(endRun(runId, hand.claim.fence, { figures, from, to, ...own }));
    if (written.length === 0) return false;
    const action = audited[own.event];
    const { doneRows, failedRows, counts } = hand.live();
    if (action !== undefined)
      await deps.audit.write(tx, {
        actor,
        action,
        runId,
        facts: { kind, state: to, owner: { ...deps.me }, done_rows: doneRows, failed_rows: failedRows, counts },
      });
    return true;
  });
}

/** Somebody changed the state meanwhile: it stands as he wants it. */
async function settle(run: EndingDeps, options: EndingOptions): Promise<Outcome> {
  const { deps, hand } = run;
  const { runId } = hand.claim.row;
  const [row] = await stubbornly(run, () => deps.db.query(selectRun(runId)));
  if (row === undefined || Number(row.fence) !== hand.claim.fence) return 'lost';
  if (row.state === 'cancelling') return tidyUp(run, options);
  const figures = { ...hand.figures(), remainingMs: null, waitReason: null };
  await stubbornly(run, () => deps.db.query(leaveRun(runId, hand.claim.fence, figures)));
  return 'ended';
}

async function tidyUp(run: EndingDeps, options: EndingOptions): Promise<Outcome> {
  const { deps, hand } = run;
  let error: string | null = null;
  let event: JobEvent = 'cancelled';
  let opened: JobWork | null = null;
  try {
    opened = options.work === null ? await options.openWork() : null;
  } catch (failure) {
    if (troubleOf(failure).kind === 'away') throw failure;
    // Its file is gone, or the like: it is cancelled all the same.
    error = `Cancelled; what the run left could not be looked for: ${messageOf(failure)}`;
  }
  const work = options.work ?? opened;
  try {
    await stubbornly(run, async () => work?.cancel?.());
  } catch (failure) {
    event = 'fail';
    error = `Cancelling failed: ${messageOf(failure)}. Cancel again when the cause is mended.`;
    deps.logger.error({ err: failure, runId: hand.claim.row.runId }, 'a cancelled run could not be tidied up');
  } finally {
    await opened?.close?.();
  }
  const written = await stubbornly(run, () => writeEnd(run, 'cancelling', { event, error, result: null }));
  if (written) return 'ended';
  const [row] = await stubbornly(run, () => deps.db.query(selectRun(hand.claim.row.runId)));
  return row !== undefined && Number(row.fence) === hand.claim.fence ? 'ended' : 'lost';
}

const patienceMs = 60_000;
const patienceWhenStoppingMs = 5_000;

/** The last word about a run is worth waiting for. @throws the last error, when it does not pass */
async function stubbornly<T>({ signal }: EndingDeps, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  for (let pauseMs = 100; ; pauseMs = Math.min(1_000, pauseMs * 2)) {
    try {
      return await work();
    } catch (error) {
      const { kind } = troubleOf(error);
      const limitMs = signal.aborted ? patienceWhenStoppingMs : kind === 'away' ? Number.POSITIVE_INFINITY : patienceMs;
      if (kind === 'row' || kind === 'final' || performance.now() - startedMs > limitMs) throw error;
      await delay(pauseMs);
    }
  }
}
