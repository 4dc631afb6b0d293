import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { awayReason, LostRunError, StoppedError, troubleOf } from './job-faults.ts';
import type { Hand } from './job-hand.ts';

export interface PatienceOptions {
  /** Pauses before each further try after a fault that may pass (a full disk); after the last the run fails. */
  readonly pausesMs: readonly number[];
  /** Once the database answers again, before anybody goes on: takes the lock back. */
  readonly onReturn: () => Promise<void>;
}

/** Decides after each failure whether and when the same is tried again. */
export interface Patience {
  /**
   * Waits as long as the fault deserves, with the reason shown, or stops the run.
   * @param failures how often the same work failed in a row, this time included
   */
  overcome(error: unknown, failures: number): Promise<void>;
  /** Runs work that is no batch until it succeeds; null = the run was stopped meanwhile. */
  insist<T>(work: () => Promise<T>): Promise<{ readonly value: T } | null>;
}

/** A disk that is full or a standby: half a minute in all. */
export const standardPausesMs = [1_000, 2_000, 4_000, 8_000, 15_000];

const longestPauseMs = 5_000;

export function createPatience(db: Database, hand: Hand, options: PatienceOptions): Patience {
  let returning: Promise<void> | null = null;

  const untilDatabaseAnswers = async (): Promise<void> => {
    hand.gate.wait('database', awayReason);
    for (let pauseMs = 100; !hand.signal.aborted; pauseMs = Math.min(1_000, pauseMs * 2)) {
      await hand.pause(pauseMs);
      const answers = await db.query(dynamic(sql`select 1`)).then(
        () => true,
        () => false,
      );
      if (!answers) continue;
      await options.onReturn();
      hand.gate.wait('database', null);
      return;
    }
  };

  const overcome = async (error: unknown, failures: number): Promise<void> => {
    if (error instanceof LostRunError) return hand.stop({ kind: 'lost' });
    // What breaks because the run was stopped is no failure of the run: nothing of it was committed.
    if (error instanceof StoppedError || hand.signal.aborted) return;
    const trouble = troubleOf(error);
    switch (trouble.kind) {
      case 'away':
        returning ??= untilDatabaseAnswers().finally(() => {
          returning = null;
        });
        return returning;
      case 'busy':
        hand.meter.retried();
        hand.gate.wait('trouble', `${trouble.reason}; retry ${failures}`);
        return hand.pause(Math.min(longestPauseMs, 100 * 2 ** failures));
      case 'passing': {
        const pauseMs = options.pausesMs[failures - 1];
        if (pauseMs === undefined) return hand.stop({ kind: 'failed', message: trouble.message });
        hand.meter.retried();
        hand.gate.wait('trouble', `${trouble.reason}; try ${failures + 1} of ${options.pausesMs.length + 1}`);
        if (trouble.smaller) hand.meter.setBatchRows(Math.max(1, hand.meter.figures().batchRows >> 1));
        return hand.pause(pauseMs);
      }
      case 'row':
        return hand.stop({ kind: 'failed', message: trouble.detail });
      case 'final':
        return hand.stop({ kind: 'failed', message: trouble.message });
    }
  };

  return {
    overcome,
    async insist(work) {
      for (let failures = 1; !hand.signal.aborted; failures++) {
        try {
          const value = await work();
          hand.gate.wait('trouble', null);
          return { value };
        } catch (error) {
          await overcome(error, failures);
        }
      }
      return null;
    },
  };
}
