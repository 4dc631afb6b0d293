import { setTimeout as delay } from 'node:timers/promises';
import { type Day, dayOf, formatDay, parseDay } from '../../core/days.ts';
import { DomainError } from '../../core/errors.ts';
import type { Clock } from '../../core/time.ts';
import type { Database, Session } from '../../storage/database.ts';
import { rawDayState, takeRawDayOut } from '../../storage/day-partition-drop.ts';
import { listRawDays } from '../../storage/day-partitions.ts';
import { isTransient } from '../../storage/retry.ts';
import { inTransaction } from '../../storage/session-transaction.ts';
import type { Rollup } from './rollup-service.ts';
import type { UsageErrorCode } from './usage.ts';
import { compareDay, type SumDifference } from './usage-compare-queries.ts';
import {
  checkedDays,
  closeDays,
  forgetBatches,
  lockHorizonTable,
  markDropped,
  openBatchesBefore,
  recordCheck,
  tryLockRetention,
} from './usage-retention-queries.ts';
import { lockRollup } from './usage-rollup-queries.ts';

export interface DropRequest {
  /** Days before this one are dropped; today at most. */
  readonly before: Day;
  readonly actor: string;
  /** Told of each day that is gone. */
  readonly onDropped?: (day: DroppedDay) => void;
}

export interface DroppedDay {
  readonly day: Day;
  readonly rawRows: bigint;
}

export interface DropReport {
  readonly dropped: readonly DroppedDay[];
  /** Why it went no further; null = every day is gone. What was dropped before stays dropped. */
  readonly refused: DropRefusal | null;
  /** Rows of the ledger that were deleted. */
  readonly forgottenBatches: number;
}

export interface DropRefusal {
  readonly reason: 'busy' | 'open_batches' | 'difference' | 'in_use';
  /** In a sentence. */
  readonly detail: string;
  readonly day: Day | null;
  /** The first sums that differ. */
  readonly differences: readonly SumDifference[];
}

export interface UsageRetention {
  /**
   * Drops the raw rows of old days; their sums stay. Closes the days first, for ever: whoever is ended on the way leaves nothing
   * half done that the next one does not finish. @throws DomainError `in_future` for a day after today
   */
  dropRaw(request: DropRequest): Promise<DropReport>;
}

export interface UsageRetentionDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly rollup: Pick<Rollup, 'once'>;
  /** After the horizon was moved. */
  readonly refreshHorizon: () => Promise<void>;
  readonly isCitus?: boolean;
  /** How long it waits for those who use what it takes away. */
  readonly patienceMs?: number;
}

const lockPauseMs = 200;
const forgottenAtOnce = 5_000;

/** Ends the dropping with its reason. */
class Refused extends Error {
  readonly refusal: DropRefusal;
  constructor(refusal: Omit<DropRefusal, 'differences'> & Partial<DropRefusal>) {
    super(refusal.detail);
    this.name = 'Refused';
    this.refusal = { differences: [], ...refusal };
  }
}

export const createUsageRetention = (deps: UsageRetentionDeps): UsageRetention => ({
  async dropRaw(request) {
    if (request.before > dayOf(deps.clock.now())) {
      throw new DomainError<UsageErrorCode>('in_future', 'The raw rows of today and of later days are still needed.');
    }
    const dropped: DroppedDay[] = [];
    let refused: DropRefusal | null = null;
    let forgottenBatches = 0;
    await deps.db.session(async (session) => {
      try {
        await closeAndRollUp(deps, session, request.before);
        for (const day of await daysToDrop(session, request.before)) {
          const gone = await dropDay(deps, session, { day, actor: request.actor });
          dropped.push(gone);
          request.onDropped?.(gone);
        }
        forgottenBatches = await forget(session, request.before);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refused = error.refusal;
      }
    });
    return { dropped, refused, forgottenBatches };
  },
});

/** Afterwards nothing comes to these days any more, and all of it is in the sums. */
async function closeAndRollUp(deps: UsageRetentionDeps, session: Session, before: Day): Promise<void> {
  const [lock] = await session.run(tryLockRetention());
  if (lock?.got !== true)
    throw new Refused({ reason: 'busy', detail: 'Another process drops raw days just now.', day: null });
  await patiently(deps, null, () => moveHorizon(session, before, deps));
  await deps.refreshHorizon();
  const untilMs = performance.now() + patienceOf(deps);
  for (;;) {
    await deps.rollup.once();
    const [open] = await session.run(openBatchesBefore(before));
    if (open === undefined || open.batches === 0n) return;
    if (performance.now() > untilMs) {
      throw new Refused({
        reason: 'open_batches',
        detail: `${open.batches} batches with days before ${formatDay(before)} are not rolled up (the first is ${open.oldest}): somebody holds them. Try again later.`,
        day: null,
      });
    }
    await delay(lockPauseMs);
  }
}

/** Waits for every transaction that wrote raw rows by the former horizon. */
const moveHorizon = (session: Session, before: Day, { clock }: UsageRetentionDeps): Promise<void> =>
  inTransaction(session, async () => {
    // Writers wait while this waits.
    await session.script(`set local lock_timeout = '500ms'`);
    await session.run(lockHorizonTable);
    await session.run(closeDays(before, clock.now()));
  });

/** Days whose raw rows are there, or on their way out since an earlier time; oldest first. */
async function daysToDrop(session: Session, before: Day): Promise<Day[]> {
  const days = new Set((await listRawDays({ query: session.run })).filter((day) => day < before));
  for (const { day: text } of await session.run(checkedDays())) {
    const day = parseDay(text);
    if (day !== null && (day < before || (await rawDayState(session, day)) !== 'attached')) days.add(day);
  }
  return [...days].sort((a, b) => a - b);
}

async function dropDay(
  deps: UsageRetentionDeps,
  session: Session,
  { day, actor }: { readonly day: Day; readonly actor: string },
): Promise<DroppedDay> {
  for (;;) {
    const state = await rawDayState(session, day);
    if (state === 'gone') break;
    // Whoever began to take it out had found that it agrees.
    if (state === 'attached') await check(deps, session, { day, actor });
    await patiently(deps, day, async () => {
      const now = await rawDayState(session, day);
      if (now === state) await takeRawDayOut(session, { day, state }, { isCitus: deps.isCitus === true });
    });
  }
  const [row] = await session.run(markDropped(day, deps.clock.now()));
  return { day, rawRows: row?.rawRows ?? 0n };
}

/** @throws Refused when the sums of the day are not what its rows say */
async function check(
  { clock, isCitus = false }: UsageRetentionDeps,
  session: Session,
  { day, actor }: { readonly day: Day; readonly actor: string },
): Promise<void> {
  const compare = () => session.run(compareDay(day, isCitus));
  const [compared] = isCitus ? await withoutRollup(session, compare) : await compare();
  if (compared === undefined) throw new RangeError('A comparison gave no row.');
  const { rawRows, differences, first } = compared;
  await session.run(recordCheck({ day, rawRows, differences, checkedAt: clock.now(), actor }));
  if (differences === 0n) return;
  throw new Refused({
    reason: 'difference',
    detail: `${differences} sums of ${formatDay(day)} are not what its raw rows and adjustments say. Look: milliard verify usage; mend: milliard verify usage --repair.`,
    day,
    differences: first ?? [],
  });
}

async function withoutRollup<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.script('begin');
  try {
    await session.run(lockRollup());
    return await work();
  } finally {
    await session.script('rollback').catch(() => {});
  }
}

async function forget(session: Session, before: Day): Promise<number> {
  let forgotten = 0;
  for (;;) {
    const rows = await session.run(forgetBatches(before, forgottenAtOnce));
    forgotten += rows.length;
    if (rows.length < forgottenAtOnce) return forgotten;
  }
}

const patienceOf = ({ patienceMs = 60_000 }: UsageRetentionDeps): number => patienceMs;

/** Tries again while others hold what it needs. @throws Refused when that lasts too long */
async function patiently(deps: UsageRetentionDeps, day: Day | null, work: () => Promise<void>): Promise<void> {
  const untilMs = performance.now() + patienceOf(deps);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (performance.now() > untilMs) {
        throw new Refused({
          reason: 'in_use',
          detail:
            'A transaction that goes on for long still uses the raw usage (pg_stat_activity shows it). Nothing is lost: try again when it has ended.',
          day,
        });
      }
    }
    await delay(lockPauseMs * (0.5 + Math.random()));
  }
}
