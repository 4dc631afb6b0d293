import { statement } from '../storage/sql.ts';
import type { RunId } from './job.ts';

// Class numbers of advisory locks, with hashtext(run id) as their key. Fixed for ever: processes of two versions must agree.
/** Held by the owner of a run, on a session of its own. */
const runLockClass = 1_835_625_065;
/** Shared, held by every transaction that works at a run. */
export const batchLockClass = 1_835_625_066;

export interface OwnSession {
  readonly backendPid: number;
  readonly backendStart: string;
}

export const tryLockRun = statement<{ got: boolean; backendPid: number; backendStart: string }, [RunId]>(
  'job_lock_try',
  `select pg_try_advisory_lock(${runLockClass}, hashtext($1)) as got, pid as "backendPid", backend_start::text as "backendStart"
     from pg_stat_activity where pid = pg_backend_pid()`,
  (runId) => [runId],
);

const holders = (lockClass: number, key: string): string =>
  `select pid from pg_locks where locktype = 'advisory' and classid = ${lockClass} and objsubid = 2
      and objid = ${key} and granted and database = (select oid from pg_database where datname = current_database())`;

const unsignedKey = `(hashtext($1)::bigint & 4294967295)::oid`;

/** Ends transactions of older claims that still hang about; they could commit nothing any more. Only the lock's owner may. */
export const terminateBatches = statement<{ terminated: boolean }, [RunId]>(
  'job_terminate_batches',
  `select pg_terminate_backend(pid) as terminated from (${holders(batchLockClass, unsignedKey)}) held where pid <> pg_backend_pid()`,
  (runId) => [runId],
);

/**
 * Ends the session of an owner that hangs: alive, for it holds the lock, and silent since `silentMs`. Its session must be as
 * old, or it is one that has just claimed the run.
 */
export const terminateSilentOwner = statement<{ terminated: boolean }, [RunId, number]>(
  'job_terminate_silent',
  `select pg_terminate_backend(a.pid) as terminated
     from milliard_jobs.job_runs r, pg_stat_activity a
    where r.run_id = $1::uuid and r.heartbeat_at < now() - $2::double precision * interval '1 millisecond'
      and a.backend_start < now() - $2::double precision * interval '1 millisecond'
      and a.pid in (${holders(runLockClass, unsignedKey.replace('$1', '$1::text'))}) and a.pid <> pg_backend_pid()`,
  (runId, silentMs) => [runId, silentMs],
);

/** Ends one's own former session, of which only the server does not know yet that it is dead; another may have its number now. */
export const terminateOwnSession = statement<{ terminated: boolean }, [RunId, OwnSession]>(
  'job_terminate_own',
  `select pg_terminate_backend(a.pid) as terminated from pg_stat_activity a
    where a.pid = $2 and a.backend_start = $3::timestamptz and a.pid in (${holders(runLockClass, unsignedKey)})`,
  (runId, { backendPid, backendStart }) => [runId, backendPid, backendStart],
);
