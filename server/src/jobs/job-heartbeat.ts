import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { Hand } from './job-hand.ts';
import type { LoadReader } from './job-load.ts';
import { type RunLock, regainRunLock } from './job-lock.ts';
import { writeHeartbeat } from './job-range-queries.ts';

export interface HeartbeatDeps {
  readonly db: Database;
  readonly logger: Logger;
  readonly hand: Hand;
  readonly load: LoadReader;
  readonly everyMs: number;
  readonly onBeat: () => void;
}

/** Says once a second that the owner lives, with the figures everybody sees; learns of a pause, a new throttle, a lost run. */
export interface Heartbeat {
  /** Takes the lock back when its session was lost. Never throws. */
  regain(): Promise<void>;
  /** Ends the beats and lets go of the lock. */
  stop(): Promise<void>;
}

export function startHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { hand, db, logger } = deps;
  const { runId } = hand.claim.row;
  let lock: RunLock = hand.claim.lock;
  let isHeld = true;
  let isStopped = false;
  let timer: NodeJS.Timeout | null = null;
  let regaining: Promise<void> | null = null;
  let beating: Promise<void> = Promise.resolve();

  const takeBack = async (): Promise<void> => {
    const again = await regainRunLock(db, runId, lock);
    if (again === null) return;
    lock = again;
    isHeld = true;
    logger.info({ runId }, 'took the lock of the run again after its session was lost');
  };
  const regain = async (): Promise<void> => {
    if (isHeld || isStopped) return;
    regaining ??= takeBack()
      .catch(() => {})
      .finally(() => {
        regaining = null;
      });
    await regaining;
  };

  const beat = async (): Promise<void> => {
    try {
      // On the lock's own session: a failure tells that the lock is gone.
      const statement = writeHeartbeat(runId, hand.claim.fence, hand.figures());
      const [told] = await (isHeld ? lock.session.run(statement) : db.query(statement));
      if (told === undefined) hand.stop({ kind: 'lost' });
      else hand.told(told);
    } catch {
      isHeld = false;
    }
    await regain();
    deps.onBeat();
  };
  const next = (): void => {
    if (isStopped) return;
    timer = setTimeout(() => {
      beating = Promise.all([beat(), deps.load.refresh(hand)]).then(next);
    }, deps.everyMs);
  };
  beating = deps.load.refresh(hand);
  next();

  return {
    async regain() {
      // Whoever calls has just seen the database away: the session is most likely gone as well.
      if (isHeld)
        isHeld = await lock.session.run(writeHeartbeat(runId, hand.claim.fence, hand.figures())).then(
          () => true,
          () => false,
        );
      await regain();
    },
    async stop() {
      isStopped = true;
      if (timer !== null) clearTimeout(timer);
      await beating;
      await regaining;
      await lock.release();
    },
  };
}
