import type { Instant } from '../core/time.ts';
import { statement } from '../storage/sql.ts';
import type { JobState, JobThrottle, Json, RunId } from './job.ts';
import type { RunRow } from './job-run-row.ts';
import type { RunFilter } from './jobs.ts';

const columns = `
  r.run_id as "runId", r.kind, r.parameters, r.state, r.actor, r.home_host as "homeHost", r.created_at as "createdAt",
  r.started_at as "startedAt", r.begun_at as "begunAt", r.finished_at as "finishedAt", r.heartbeat_at as "heartbeatAt",
  r.owner_host as "ownerHost", r.owner_pid as "ownerPid", r.replaced_host as "replacedHost", r.replaced_pid as "replacedPid",
  r.fence, r.total_rows as "totalRows", r.total_precision as "totalPrecision", r.batch_rows as "batchRows",
  r.max_row_errors as "maxRowErrors", r.allowed_row_errors as "allowedRowErrors", r.retries, r.rate_now as "rateNow",
  r.rate_mean as "rateMean", r.active_ms as "activeMs", r.throttled_ms as "throttledMs", r.remaining_ms as "remainingMs",
  r.wait_reason as "waitReason", r.throttle, r.error, r.result, g.done_rows as "doneRows", g.failed_rows as "failedRows", g.counts`;

const fromRuns = `
  from milliard_jobs.job_runs r
  left join lateral (
    select sum(done_rows)::bigint as done_rows, sum(failed_rows)::bigint as failed_rows, jsonb_agg(counts) as counts
      from milliard_jobs.job_ranges where run_id = r.run_id
  ) g on true`;

export const selectRun = statement<RunRow, [RunId]>(
  'job_run',
  `select ${columns} ${fromRuns} where r.run_id = $1`,
  (runId) => [runId],
);

export const lockRun = statement<RunRow, [RunId]>(
  'job_run_lock',
  `select ${columns} ${fromRuns} where r.run_id = $1 for no key update of r`,
  (runId) => [runId],
);

export const listRuns = statement<RunRow, [RunFilter]>(
  'job_runs_list',
  `select ${columns} ${fromRuns}
    where (cardinality($1::text[]) = 0 or r.state = any($1::text[])) and ($2::text is null or r.kind = $2) and ($3::uuid is null or r.run_id < $3)
    order by r.run_id desc limit $4`,
  ({ states, kind, after, limit }) => [states, kind, after, limit],
);

/** A heartbeat says something only where a process works at the run, or should. */
export const countUnfinished = statement<{
  kind: string;
  state: JobState;
  runs: bigint;
  oldestHeartbeatMs: number | null;
}>(
  'job_runs_unfinished',
  `select kind, state, count(*) as runs,
          (max(extract(epoch from now() - heartbeat_at)) filter (where state in ('running', 'cancelling')) * 1000)::float8
            as "oldestHeartbeatMs"
     from milliard_jobs.job_runs where state not in ('done', 'cancelled') group by kind, state`,
);

export interface NewRun {
  readonly runId: RunId;
  readonly kind: string;
  readonly uniqueKey: string | null;
  readonly requestKey: string | null;
  readonly requestHash: Buffer | null;
  readonly parameters: Json;
  readonly actor: string;
  readonly homeHost: string;
  readonly batchRows: number;
  readonly maxRowErrors: number;
  readonly throttle: JobThrottle;
  /** So long it is left to whoever started it. */
  readonly reservedMs: number;
}

/** Returns nothing when an unfinished run has the same key, or one of this actor the same request key. */
export const insertRun = statement<{ runId: RunId }, [NewRun]>(
  'job_run_insert',
  `insert into milliard_jobs.job_runs
     (run_id, kind, unique_key, parameters, state, actor, home_host, batch_rows, max_row_errors, allowed_row_errors, throttle, available_at,
      request_key, request_hash)
   values ($1, $2, $3, $4, 'queued', $5, $6, $7, $8, $8, $9, now() + $10::double precision * interval '1 millisecond', $11, $12)
   on conflict do nothing
   returning run_id as "runId"`,
  (run) => [
    run.runId,
    run.kind,
    run.uniqueKey,
    JSON.stringify(run.parameters),
    run.actor,
    run.homeHost,
    run.batchRows,
    run.maxRowErrors,
    JSON.stringify(run.throttle),
    run.reservedMs,
    run.requestKey,
    run.requestHash,
  ],
);

export const selectUnfinished = statement<RunRow, [string, string]>(
  'job_run_unfinished',
  `select ${columns} ${fromRuns}
    where r.kind = $1 and r.unique_key = $2 and r.unique_key is not null and r.state not in ('done', 'cancelled')`,
  (kind, uniqueKey) => [kind, uniqueKey],
);

export const selectRequested = statement<RunRow & { readonly requestHash: Buffer }, [string, string]>(
  'job_run_requested',
  `select r.request_hash as "requestHash", ${columns} ${fromRuns} where r.actor = $1 and r.request_key = $2`,
  (actor, requestKey) => [actor, requestKey],
);

/** An operator's event. What belongs to the former owner and his trouble goes. */
export const moveRun = statement<never, [RunId, string, number]>(
  'job_run_move',
  `update milliard_jobs.job_runs set state = $2, wait_reason = null, remaining_ms = null,
          error = case when $2 = 'queued' then null else error end,
          finished_at = case when $2 = 'cancelled' then now() end,
          available_at = case when $2 = 'queued' then now() + $3::double precision * interval '1 millisecond' else available_at end
    where run_id = $1`,
  (runId, state, reservedMs) => [runId, state, reservedMs],
);

/** A resume allows as many failed rows again, and tries the row that passed the limit once more. */
export const allowMoreErrors = statement<never, [RunId]>(
  'job_run_allow_errors',
  `with tried_again as (delete from milliard_jobs.job_row_errors where run_id = $1 and not skipped)
   update milliard_jobs.job_runs r set allowed_row_errors = r.max_row_errors +
          (select coalesce(sum(failed_rows), 0) from milliard_jobs.job_ranges where run_id = $1)
    where run_id = $1`,
  (runId) => [runId],
);

export const setThrottle = statement<never, [RunId, Partial<JobThrottle>]>(
  'job_run_set_throttle',
  'update milliard_jobs.job_runs set throttle = throttle || $2::jsonb where run_id = $1',
  (runId, throttle) => [runId, JSON.stringify(throttle)],
);

export interface ClaimedState {
  readonly runId: RunId;
  readonly state: string;
  readonly host: string;
  readonly pid: number;
  readonly replacedHost: string | null;
  readonly replacedPid: number | null;
}

/** Raises the fence of the run and of its ranges: from its commit on, no older claim can write a checkpoint. */
export const claimRun = statement<never, [ClaimedState]>(
  'job_run_claim',
  `with claimed as (
     update milliard_jobs.job_runs set state = $2, fence = fence + 1, owner_host = $3, owner_pid = $4, replaced_host = $5,
            replaced_pid = $6, started_at = coalesce(started_at, now()), heartbeat_at = now(), wait_reason = null, error = null,
            remaining_ms = null
      where run_id = $1 returning fence)
   update milliard_jobs.job_ranges set fence = claimed.fence from claimed where run_id = $1`,
  (c) => [c.runId, c.state, c.host, c.pid, c.replacedHost, c.replacedPid],
);

/** Runs that a server of this host could take: queued ones, and those whose owner has been silent for two seconds. */
export const selectClaimable = statement<{ runId: RunId }, [readonly string[], readonly string[], string]>(
  'job_runs_claimable',
  `select run_id as "runId" from milliard_jobs.job_runs
    where state in ('queued', 'running', 'cancelling')
      and (kind = any($1::text[]) or kind = any($2::text[]) and home_host = $3)
      and case when state = 'queued' then available_at <= now()
               else coalesce(heartbeat_at < now() - interval '2 seconds', true) or owner_pid is null end
    order by run_id limit 20`,
  (anywhere, sameHost, host) => [anywhere, sameHost, host],
);

export const selectRowErrors = statement<
  { position: bigint; rowKey: string; code: string; detail: string; recordedAt: Instant },
  [RunId, number, number]
>(
  'job_row_errors_list',
  `select position, row_key as "rowKey", code, detail, recorded_at as "recordedAt" from milliard_jobs.job_row_errors
    where run_id = $1 and position > $2 order by position limit $3`,
  (runId, after, limit) => [runId, after, limit],
);

export const selectAuditColumns = statement<{ columns: bigint }>(
  'job_audit_columns',
  `select count(*) as columns from pg_attribute
    where attrelid = to_regclass('public.audit_log') and not attisdropped
      and (attname, atttypid::regtype::text) in
          (('audit_id', 'uuid'), ('actor', 'text'), ('action', 'text'), ('subject', 'text'), ('facts', 'jsonb'))`,
);

export interface AuditEntry {
  readonly actor: string;
  readonly action:
    | 'job.start'
    | 'job.takeover'
    | 'job.pause'
    | 'job.resume'
    | 'job.cancel'
    | 'job.set'
    | 'job.finish'
    | 'job.fail';
  readonly runId: RunId;
  readonly facts: Json;
}

export const insertAudit = statement<never, [AuditEntry]>(
  'job_audit_insert',
  'insert into public.audit_log (actor, action, subject, facts) values ($1, $2, $3, $4)',
  ({ actor, action, runId, facts }) => [actor, action, runId, JSON.stringify(facts)],
);
