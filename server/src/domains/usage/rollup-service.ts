import { setTimeout as delay } from 'node:timers/promises';
import { type Day, parseDay } from '../../core/days.ts';
import type { Logger } from '../../core/ports.ts';
import type { Clock } from '../../core/time.ts';
import type { Database, Session } from '../../storage/database.ts';
import { isTransient, withRetry } from '../../storage/retry.ts';
import { inTransaction } from '../../storage/session-transaction.ts';
import { createRawIndex, type RawIndex } from './raw-index-service.ts';
import { createRollupPace, maxRows, type RollupPace } from './rollup-pace.ts';
import type { BatchId } from './usage.ts';
import { lockSums, type OpenSummary, selectOpenSummary } from './usage-ledger-queries.ts';
import {
  addToSums,
  type Claim,
  type ClaimedBatch,
  claimBatches,
  countClaimed,
  lockRollup,
  markRolledUp,
  type Summand,
  tryLockRollup,
} from './usage-rollup-queries.ts';

export interface RollupReport {
  readonly batches: number;
  readonly rows: number;
  readonly durationMs: number;
}

export interface Rollup {
  /**
   * Rolls up until no batch that was open when it began is. Waits for a rollup of another process. On Citus it leaves out batches
   * that are being committed, and those that a lost node has left half committed until they are recovered.
   */
  once(): Promise<RollupReport>;
  /** A server's part: goes on by itself until it is closed. */
  start(): { close(): Promise<void> };
  /**
   * Waits while the rollup of this process has fallen behind, at most 10 s: whoever writes much asks before each part, so that the
   * sums stay close however fast the records come. At once when nothing is rolled up here, or the rollup stands still.
   */
  giveWay(): Promise<void>;
}

export interface RollupDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A batch waits so long at least; longer when a rollup takes longer. */
  readonly minPauseMs: number;
  /** The database is a Citus cluster: sums in statements of their own, and rows are counted before. */
  readonly isCitus?: boolean;
  readonly onRollup?: (report: RollupReport) => void;
}

const maxBatches = 2_000;
const lookMs = 250;
const retryMs = 1_000;
const wayStepMs = 50;
// Longer than any transaction of the rollup; well within the patience of clients and proxies.
const longestWayMs = 10_000;

type Lock = 'wait' | 'try';

export function createRollup(deps: RollupDeps): Rollup {
  const pace = createRollupPace(deps);
  let servers = 0;
  return {
    async once() {
      const startedMs = performance.now();
      const sum = { batches: 0, rows: 0 };
      await withSession(deps, async (step) => {
        for (;;) {
          const report = await step('wait', maxRows);
          if (report === null || report.batches === 0) return;
          sum.batches += report.batches;
          sum.rows += report.rows;
        }
      });
      return { ...sum, durationMs: performance.now() - startedMs };
    },
    start() {
      const stopping = new AbortController();
      const ended = serve(deps, stopping.signal, pace);
      servers++;
      return {
        async close() {
          stopping.abort();
          servers--;
          await ended;
        },
      };
    },
    async giveWay() {
      for (let waitedMs = 0; servers > 0 && waitedMs < longestWayMs; waitedMs += wayStepMs) {
        if (!pace.isBehind(await readSummary(deps.db))) return;
        await delay(wayStepMs);
      }
    },
  };
}

export async function readSummary(db: Pick<Database, 'query'>): Promise<OpenSummary> {
  const [summary] = await db.query(selectOpenSummary());
  return summary ?? { openBatches: 0n, openRows: 0n, oldestOpenAt: null };
}

/** @param claimed hears how many rows are summed */
type Step = (lock: Lock, mostRows: number, claimed?: (rows: number) => void) => Promise<RollupReport | null>;

/** A connection of its own: its transactions may take longer than those of requests, and none of these waits for it. */
function withSession<T>(deps: RollupDeps, work: (step: Step) => Promise<T>): Promise<T> {
  return deps.db.session(async (session) => {
    // Sums of a million keys are hashed or sorted in memory.
    await session.script(`set work_mem = '64MB'`);
    const rawIndex = createRawIndex(session, deps.isCitus === true);
    return work(async (lock, mostRows, claimed = () => {}) => {
      const report = await withRetry(
        () => inTransaction(session, () => rollUp(session, deps, { lock, mostRows, claimed, rawIndex })),
        isTransient,
      );
      if (report !== null) await rawIndex.keepUp();
      if (report !== null && report.batches > 0) deps.onRollup?.(report);
      return report;
    });
  });
}

interface Rolling {
  readonly lock: Lock;
  /** In one transaction, one batch at least. */
  readonly mostRows: number;
  readonly claimed: (rows: number) => void;
  readonly rawIndex: RawIndex;
}

/** @returns null when another process is at it */
async function rollUp(
  session: Session,
  deps: RollupDeps,
  { lock, mostRows, claimed: tellClaimed, rawIndex }: Rolling,
): Promise<RollupReport | null> {
  const startedMs = performance.now();
  const isCitus = deps.isCitus === true;
  if (lock === 'wait') await session.run(lockRollup());
  else if ((await session.run(tryLockRollup()))[0]?.got !== true) return null;
  const open = await session.run(claimBatches(maxBatches));
  const claimed = isCitus ? await firstComplete(session, open, mostRows) : firstRows(open, mostRows);
  tellClaimed(claimed.reduce((sum, batch) => sum + batch.rows, 0));
  let rows = 0;
  for (const summand of ['records', 'adjustments'] as const) {
    const batches = ofSummand(claimed, summand);
    const claim = claimOf(batches);
    if (claim === null) continue;
    for (const statement of addToSums(claim, summand, isCitus)) await session.run(statement);
    const summed = batches.reduce((sum, batch) => sum + batch.rows, 0);
    if (summand === 'records') rawIndex.wrote(summed, claim.days);
    rows += summed;
  }
  if (claimed.length > 0) {
    await session.run(
      markRolledUp(
        claimed.map(({ batchId }) => batchId),
        deps.clock.now(),
      ),
    );
    if (isCitus) await session.run(lockSums());
  }
  return { batches: claimed.length, rows, durationMs: performance.now() - startedMs };
}

/** As many of the batches as make a transaction's worth, one at least. */
function firstRows(batches: readonly ClaimedBatch[], mostRows: number): ClaimedBatch[] {
  let rows = 0;
  const taken: ClaimedBatch[] = [];
  for (const batch of batches) {
    if (taken.length > 0 && rows + batch.rows > mostRows) break;
    rows += batch.rows;
    taken.push(batch);
  }
  return taken;
}

function claimOf(batches: readonly ClaimedBatch[]): Claim | null {
  const days = batches
    .flatMap(({ firstDay, lastDay }) => [firstDay, lastDay])
    .flatMap((text) => {
      const day = text === null ? null : parseDay(text);
      return day === null ? [] : [day];
    });
  if (days.length === 0) return null;
  return {
    batchIds: batches.map(({ batchId }) => batchId),
    days: [Math.min(...days) as Day, Math.max(...days) as Day],
  };
}

const ofSummand = (claimed: readonly ClaimedBatch[], summand: Summand): ClaimedBatch[] =>
  claimed.filter((batch) => batch.rows > 0 && (batch.kind === summand || batch.kind === 'direct'));

/**
 * A transaction's worth of batches on Citus, where the ledger may be committed before a worker shows the rows of a batch. Such a batch
 * is left to the next time and holds up no other, but for adjustments behind it: they may take away what it brings. What is visible
 * once stays so, and no batch ever gets more rows than the ledger says.
 */
async function firstComplete(
  session: Session,
  open: readonly ClaimedBatch[],
  mostRows: number,
): Promise<ClaimedBatch[]> {
  let areAllComplete = true;
  for (let rest = open; rest.length > 0; ) {
    const first = firstRows(rest, mostRows);
    const visible = await visibleRows(session, first);
    const taken: ClaimedBatch[] = [];
    for (const batch of first) {
      const isComplete = batch.kind === 'direct' || (visible.get(batch.batchId) ?? 0n) === BigInt(batch.rows);
      if (isComplete && (areAllComplete || batch.kind === 'records')) taken.push(batch);
      areAllComplete &&= isComplete;
    }
    if (taken.length > 0) return taken;
    rest = rest.slice(first.length);
  }
  return [];
}

async function visibleRows(session: Session, batches: readonly ClaimedBatch[]): Promise<Map<BatchId, bigint>> {
  const visible = new Map<BatchId, bigint>();
  for (const summand of ['records', 'adjustments'] as const) {
    const claim = claimOf(ofSummand(batches, summand));
    if (claim === null) continue;
    for (const { batchId, rows } of await session.run(countClaimed(claim, summand))) visible.set(batchId, rows);
  }
  return visible;
}

/** Looks often and rolls up seldom: a batch waits for the pause, which is as long as the last rollup took. Never rejects. */
async function serve(deps: RollupDeps, signal: AbortSignal, pace: RollupPace): Promise<void> {
  let complained = false;
  while (!signal.aborted) {
    try {
      await withSession(deps, async (step) => {
        while (!signal.aborted) {
          const isDue = pace.isDue(await readSummary(deps.db));
          complained = false;
          const mostRows = pace.mostRows();
          const report = isDue ? await step('try', mostRows, pace.began).finally(() => pace.ended(null)) : null;
          pace.ended(report);
          // What did not fit into one transaction follows at once.
          if (report === null || report.rows < mostRows / 2) await pause(Math.min(lookMs, deps.minPauseMs), signal);
        }
      });
    } catch (error) {
      if (!complained) deps.logger.warn({ err: error }, 'usage is not rolled up just now; trying again every second');
      complained = true;
      await pause(retryMs, signal);
    }
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal, ref: false }).catch(() => {});
