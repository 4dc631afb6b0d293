import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobFinish, JobKind, JobOwner, JobRun, JobWork, Json } from './job.ts';
import type { Audit } from './job-audit.ts';
import type { Claim } from './job-claim.ts';
import { conclude, type Ended, type Outcome } from './job-ending.ts';
import { createHand, type Hand } from './job-hand.ts';
import { type Heartbeat, startHeartbeat } from './job-heartbeat.ts';
import { createLoadReader } from './job-load.ts';
import { createPatience, type Patience } from './job-patience.ts';
import { learnWhy, prepareRun } from './job-preparation.ts';
import { insertRanges, type RangeRow, selectRanges, storeTotal } from './job-range-queries.ts';
import { workAtRange } from './job-worker.ts';

export interface RunnerDeps {
  readonly db: Database;
  readonly logger: Logger;
  readonly audit: Audit;
  /** This process. */
  readonly me: JobOwner;
  /** Ranges of one run that are worked at at once. */
  readonly parallelRanges: number;
  readonly heartbeatMs: number;
  readonly retryPausesMs: readonly number[];
}

export interface RunnerOptions {
  readonly signal: AbortSignal;
  readonly whenStopped: 'pause' | 'release';
  readonly onProgress?: (run: JobRun) => void;
}

/** A claimed run with all that works at it. */
export interface RunUnderWay {
  readonly deps: RunnerDeps;
  readonly kind: JobKind;
  readonly hand: Hand;
  readonly patience: Patience;
  readonly onCheckpoint: () => void;
  readonly signal: AbortSignal;
}

const progressEveryMs = 500;

/** Works at a claimed run until it ends or is to be given up, then lets go of it. */
export async function runClaimed(
  deps: RunnerDeps,
  { claim, kind }: { claim: Claim; kind: JobKind },
  options: RunnerOptions,
): Promise<Outcome> {
  const { db, logger } = deps;
  const hand = createHand(claim);
  const onCheckpoint = atMostEvery(progressEveryMs, () => tellProgress(options, logger, hand.live()));
  const tables = tablesOf(kind, claim);
  const heartbeat: Heartbeat = startHeartbeat({
    db,
    logger,
    hand,
    load: createLoadReader({ db, logger, tables }),
    everyMs: deps.heartbeatMs,
    onBeat: onCheckpoint,
  });
  const patience = createPatience(db, hand, { pausesMs: deps.retryPausesMs, onReturn: () => heartbeat.regain() });
  const onAbort = () => hand.stop({ kind: 'asked' });
  if (options.signal.aborted) onAbort();
  else options.signal.addEventListener('abort', onAbort, { once: true });

  const run: RunUnderWay = { deps, kind, hand, patience, onCheckpoint, signal: options.signal };
  let work: JobWork | null = null;
  try {
    const isCancelling = claim.row.state === 'cancelling';
    const opened = isCancelling ? null : await patience.insist(() => openWork(run));
    work = opened?.value ?? null;
    const finish = work === null ? null : await workThrough(run, work);
    return await conclude(run, { work, finish, whenStopped: options.whenStopped, openWork: () => openWork(run) });
  } finally {
    options.signal.removeEventListener('abort', onAbort);
    await work?.close?.().catch((error: unknown) => logger.warn({ err: error }, 'a job could not let go of its files'));
    await heartbeat.stop();
  }
}

function openWork({ kind, hand, deps }: RunUnderWay): Promise<JobWork> {
  const { row } = hand.claim;
  return kind.open({
    runId: row.runId,
    parameters: row.parameters,
    actor: row.actor,
    db: deps.db,
    signal: hand.signal,
    rehearsal: false,
  });
}

/** Begins where nobody has, does what is left of every range, and asks for the proof; null = stopped on the way. */
async function workThrough(run: RunUnderWay, work: JobWork): Promise<Ended | null> {
  const { hand, patience, deps } = run;
  if ((await prepareRun(run, work)) === null) return null;
  hand.meter.restart();
  while (!hand.signal.aborted) {
    const ranges = await patience.insist(() => deps.db.query(selectRanges(hand.claim.row.runId)));
    if (ranges === null) return null;
    const open = ranges.value.filter(({ finished }) => !finished);
    if (open.length > 0) {
      await workAtRanges(run, work, open);
      continue;
    }
    const finish = await patience.insist(() => work.finish());
    if (finish === null) return null;
    const { value } = finish;
    if (value.kind === 'done' || value.kind === 'failed') return value;
    await goOn(run, work, value);
  }
  return null;
}

async function workAtRanges(run: RunUnderWay, work: JobWork, ranges: readonly RangeRow[]): Promise<void> {
  const { hand, patience, kind, onCheckpoint, deps } = run;
  const waiting = [...ranges];
  const worker = async (): Promise<void> => {
    for (let range = waiting.shift(); range !== undefined && !hand.signal.aborted; range = waiting.shift())
      await workAtRange({ db: deps.db, kind, work, hand, patience, onCheckpoint }, range);
  };
  const results = await Promise.allSettled(Array.from({ length: deps.parallelRanges }, worker));
  // A worker that fails itself is a bug of the engine; the others have ended by now.
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** What `finish` wants: to be asked again, or another range. */
async function goOn(
  { hand, patience, deps }: RunUnderWay,
  work: JobWork,
  finish: Extract<JobFinish<Json>, { kind: 'again' | 'wait' }>,
): Promise<void> {
  const { runId } = hand.claim.row;
  hand.gate.wait('kind', finish.reason);
  if (finish.kind === 'wait') {
    await hand.pause(finish.retryAfterMs);
    hand.gate.wait('kind', null);
    return;
  }
  const before = await patience.insist(() => deps.db.query(selectRanges(runId)));
  const total = await patience.insist(() => work.total());
  if (before === null || total === null) return;
  await patience.insist(() =>
    deps.db.transaction(async (tx) => {
      const stored = await tx.run(storeTotal(runId, hand.claim.fence, total.value));
      if (stored.length === 0) await learnWhy({ deps, hand });
      // Tried again after a commit whose answer was lost: the range is there already.
      const ranges = await tx.run(selectRanges(runId));
      if (ranges.length === before.value.length)
        await tx.run(insertRanges(runId, hand.claim.fence, [{ from: finish.from, to: null }]));
    }),
  );
  hand.meter.setTotal(total.value);
  hand.gate.wait('kind', null);
}

/** Parameters of another version may be none that the kind understands: `open` will say so. */
function tablesOf(kind: JobKind, claim: Claim): readonly string[] {
  try {
    return kind.tables(claim.row.parameters);
  } catch {
    return [];
  }
}

/** Whoever watches may fail; the run goes on. */
export function tellProgress({ onProgress }: Pick<RunnerOptions, 'onProgress'>, logger: Logger, run: JobRun): void {
  try {
    onProgress?.(run);
  } catch (error) {
    logger.warn({ err: error, runId: run.runId }, 'the progress of a run could not be shown');
  }
}

/** Calls through at most every so often. */
function atMostEvery(everyMs: number, call: () => void): () => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = performance.now();
    if (nowMs - lastMs < everyMs) return;
    lastMs = nowMs;
    call();
  };
}
