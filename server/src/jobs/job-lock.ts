import type { Database, Session } from '../storage/database.ts';
import type { RunId } from './job.ts';
import { type OwnSession, terminateOwnSession, tryLockRun } from './job-lock-queries.ts';

/** A session that holds the lock of a run. It is lost when a statement on it fails. */
export interface RunLock extends OwnSession {
  readonly session: Session;
  /** Ends the session and with it the lock; never throws. */
  release(): Promise<void>;
}

/** The lock of a run on a session of its own, or null while another session holds it. @throws StorageError */
export async function tryRunLock(db: Database, runId: RunId): Promise<RunLock | null> {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return new Promise((resolve, reject) => {
    const ended = db.session(async (session) => {
      const [lock] = await session.run(tryLockRun(runId));
      if (lock?.got !== true) return resolve(null);
      resolve({
        session,
        backendPid: lock.backendPid,
        backendStart: lock.backendStart,
        async release() {
          release();
          await ended.catch(() => {});
        },
      });
      await released;
    });
    ended.catch(reject);
  });
}

/** The lock again after its session died; what the server still believes of the old session is ended first. */
export async function regainRunLock(db: Database, runId: RunId, former: RunLock): Promise<RunLock | null> {
  void former.release();
  const lock = await tryRunLock(db, runId);
  if (lock !== null) return lock;
  await db.query(terminateOwnSession(runId, former)).catch(() => {});
  return null;
}
