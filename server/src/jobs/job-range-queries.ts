import { statement } from '../storage/sql.ts';
import type { JobRange, JobState, JobThrottle, JobTotal, Json, RunId } from './job.ts';
import { batchLockClass } from './job-lock-queries.ts';

export interface RangeRow {
  readonly rangeNo: number;
  readonly cursor: Json;
  readonly upTo: Json;
  readonly doneRows: bigint;
  readonly failedRows: bigint;
  readonly batches: bigint;
  readonly counts: Readonly<Record<string, number>>;
  readonly finished: boolean;
  readonly fence: bigint;
}

export const selectRanges = statement<RangeRow, [RunId]>(
  'job_ranges',
  `select range_no as "rangeNo", cursor, upto as "upTo", done_rows as "doneRows", failed_rows as "failedRows", batches, counts,
          finished_at is not null as finished, fence
     from milliard_jobs.job_ranges where run_id = $1 order by range_no`,
  (runId) => [runId],
);

/**
 * The first statement of every transaction that works at a run: how long it may wait and take, and a lock by which a process
 * that takes the run over finds and ends transactions of an older claim that still hang about.
 */
export const enterTransaction = statement<never, [RunId, number, number]>(
  'job_enter',
  `select set_config('lock_timeout', $2, true), set_config('statement_timeout', $3, true),
          pg_advisory_xact_lock_shared(${batchLockClass}, hashtext($1))`,
  (runId, lockTimeoutMs, statementTimeoutMs) => [runId, String(lockTimeoutMs), String(statementTimeoutMs)],
);

export interface Checkpoint {
  readonly runId: RunId;
  readonly rangeNo: number;
  readonly fence: number;
  /** Checkpoints of the range before this one: a batch can never be counted twice. */
  readonly batches: number;
  readonly cursor: Json;
  readonly rows: number;
  readonly failedRows: number;
  /** Of the whole range, this batch included. */
  readonly counts: Readonly<Record<string, number>>;
  readonly finished: boolean;
}

/** What a checkpoint learns of the run. */
export interface Told {
  readonly state: JobState;
  readonly throttle: JobThrottle;
}

/** The last statement of a batch. No row = the run was lost to another claim: nothing may be committed. */
export const writeCheckpoint = statement<Told, [Checkpoint]>(
  'job_checkpoint',
  `update milliard_jobs.job_ranges g set cursor = $5::jsonb, done_rows = g.done_rows + $6, failed_rows = g.failed_rows + $7,
          counts = $8, batches = g.batches + 1, finished_at = case when $9 then now() end
     from milliard_jobs.job_runs r
    where g.run_id = $1 and g.range_no = $2 and g.fence = $3 and g.batches = $4 and r.run_id = $1
   returning r.state, r.throttle`,
  (c) => [
    c.runId,
    c.rangeNo,
    c.fence,
    c.batches,
    jsonb(c.cursor),
    c.rows,
    c.failedRows,
    JSON.stringify(c.counts),
    c.finished,
  ],
);

export const insertRowError = statement<
  never,
  [RunId, { readonly rowKey: string; readonly code: string; readonly detail: string; readonly skipped: boolean }]
>(
  'job_row_error_insert',
  'insert into milliard_jobs.job_row_errors (run_id, row_key, code, detail, skipped) values ($1, $2, $3, $4, $5)',
  (runId, error) => [runId, error.rowKey, error.code, error.detail, error.skipped],
);

/** Marks `begin` as done; no row = the run was lost or is no longer to be run. */
export const markBegun = statement<{ runId: RunId }, [RunId, number]>(
  'job_mark_begun',
  `update milliard_jobs.job_runs set begun_at = now()
    where run_id = $1 and fence = $2 and state = 'running' returning run_id as "runId"`,
  (runId, fence) => [runId, fence],
);

/** Stores the total; no row = the run was lost or is no longer to be run. */
export const storeTotal = statement<{ runId: RunId }, [RunId, number, JobTotal | null]>(
  'job_store_total',
  `update milliard_jobs.job_runs set total_rows = $3, total_precision = $4
    where run_id = $1 and fence = $2 and state = 'running' returning run_id as "runId"`,
  (runId, fence, total) => [
    runId,
    fence,
    total === null ? null : Math.round(total.rows),
    total === null ? null : total.precision,
  ],
);

/** Adds ranges behind those there are. */
export const insertRanges = statement<never, [RunId, number, readonly JobRange<Json>[]]>(
  'job_ranges_insert',
  `insert into milliard_jobs.job_ranges (run_id, range_no, cursor, upto, fence)
   select $1::uuid, (select coalesce(max(range_no), 0) from milliard_jobs.job_ranges where run_id = $1::uuid) + n,
          nullif(range -> 'from', 'null'), nullif(range -> 'to', 'null'), $2::bigint
     from jsonb_array_elements($3::jsonb) with ordinality as t (range, n)`,
  (runId, fence, ranges) => [runId, fence, JSON.stringify(ranges)],
);

export interface Figures {
  readonly batchRows: number;
  readonly retries: number;
  readonly rateNow: number | null;
  readonly rateMean: number | null;
  readonly activeMs: number;
  readonly throttledMs: number;
  readonly remainingMs: number | null;
  readonly waitReason: string | null;
}

const figuresOfWork = 'batch_rows = $3, retries = $4, rate_now = $5, rate_mean = $6, active_ms = $7, throttled_ms = $8';

const figures = `${figuresOfWork}, remaining_ms = $9, wait_reason = $10`;

const figureValues = (f: Figures) => [
  f.batchRows,
  f.retries,
  f.rateNow,
  f.rateMean,
  Math.round(f.activeMs),
  Math.round(f.throttledMs),
  f.remainingMs === null ? null : Math.round(f.remainingMs),
  f.waitReason,
];

/** The owner lives. No row = he lost the run. One that arrives as the run has ended does not say any more how long it will take. */
export const writeHeartbeat = statement<Told, [RunId, number, Figures]>(
  'job_heartbeat',
  `update milliard_jobs.job_runs set heartbeat_at = now(), ${figuresOfWork},
          remaining_ms = case when owner_pid is not null then $9::bigint end,
          wait_reason = case when owner_pid is not null then $10::text end
    where run_id = $1 and fence = $2 returning state, throttle`,
  (runId, fence, f) => [runId, fence, ...figureValues(f)],
);

export interface Ending {
  readonly figures: Figures;
  readonly from: JobState;
  readonly to: JobState;
  readonly error: string | null;
  readonly result: Json;
}

/** The owner lets go with an event of his own. No row = lost, or somebody changed the state meanwhile. */
export const endRun = statement<{ runId: RunId }, [RunId, number, Ending]>(
  'job_end',
  `update milliard_jobs.job_runs set ${figures}, state = $12, error = $13, result = coalesce($14, result), owner_host = null,
          owner_pid = null, available_at = now(),
          finished_at = case when $12 in ('done', 'failed', 'cancelled') then now() end
    where run_id = $1 and fence = $2 and state = $11 returning run_id as "runId"`,
  (runId, fence, ending) => [
    runId,
    fence,
    ...figureValues(ending.figures),
    ending.from,
    ending.to,
    ending.error,
    jsonb(ending.result),
  ],
);

/** The owner lets go of a run whose state somebody else has changed. */
export const leaveRun = statement<never, [RunId, number, Figures]>(
  'job_leave',
  `update milliard_jobs.job_runs set ${figures}, owner_host = null, owner_pid = null where run_id = $1 and fence = $2`,
  (runId, fence, f) => [runId, fence, ...figureValues(f)],
);

/** The driver sends arrays in PostgreSQL's array form and plain text as it is: jsonb goes as its text. */
const jsonb = (value: Json): string | null => (value === null ? null : JSON.stringify(value));
