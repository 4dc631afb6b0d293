import type { RunId } from '../../jobs/job.ts';
import { statement } from '../../storage/sql.ts';

/** What this kind keeps of a run beside the engine's row: how the target was, and the proof once it holds. */
export interface RegenerationRecord {
  readonly runId: RunId;
  readonly tableOid: number;
  readonly column: string;
  readonly keyColumns: readonly string[];
  /** The run whose copy of old values is looked for; another one's when it only looks again. */
  readonly sourceRunId: RunId;
  readonly copiedRows: bigint;
  readonly copiedAt: string;
  readonly tableBytes: bigint;
  readonly indexBytes: bigint;
  /** null = not proved yet. */
  readonly result: Record<string, string | number> | null;
  /** The copy is still there, for a later look. */
  readonly isKept: boolean;
}

/** Serializes the making of the table, until the end of the transaction. */
export const lockCreation = statement(
  'regeneration_lock_creation',
  `select pg_advisory_xact_lock(hashtext('milliard regenerate-uuid'))`,
);

/** Serializes what runs about one table do with each other's copies, until the end of the transaction. */
export const lockTable = statement<never, [number]>(
  'regeneration_lock_table',
  `select pg_advisory_xact_lock(hashtext('milliard regenerate-uuid'), $1::bigint::oid::int)`,
  (tableOid) => [tableOid],
);

export const createRecords = statement(
  'regeneration_create',
  `create table if not exists milliard_jobs.regenerations (
     run_id uuid primary key references milliard_jobs.job_runs (run_id) on delete cascade,
     table_oid oid not null,
     column_name text not null,
     key_columns text[] not null,
     source_run_id uuid not null,
     copied_rows bigint not null,
     copied_at timestamptz(3) not null,
     table_bytes bigint not null,
     index_bytes bigint not null,
     result jsonb,
     is_kept boolean not null default false)`,
);

export const recordsExist = statement<{ found: boolean }>(
  'regeneration_records_exist',
  `select to_regclass('milliard_jobs.regenerations') is not null as found`,
);

const columns = `run_id as "runId", table_oid::bigint::float8 as "tableOid", column_name as "column", key_columns as "keyColumns",
  source_run_id as "sourceRunId", copied_rows as "copiedRows", copied_at::text as "copiedAt", table_bytes as "tableBytes",
  index_bytes as "indexBytes", result, is_kept as "isKept"`;

export const selectRecord = statement<RegenerationRecord, [RunId]>(
  'regeneration_record',
  `select ${columns} from milliard_jobs.regenerations where run_id = $1`,
  (runId) => [runId],
);

/** Runs about a column, newest first. */
export const recordsOf = statement<RegenerationRecord, [number, string]>(
  'regeneration_records_of',
  `select ${columns} from milliard_jobs.regenerations where table_oid = $1::bigint::oid and column_name = $2 order by run_id desc`,
  (tableOid, column) => [tableOid, column],
);

/** Without `copiedAt` the copy was made in this transaction. */
export type NewRecord = Omit<RegenerationRecord, 'copiedAt' | 'result' | 'isKept'> & {
  readonly copiedAt: string | null;
};

export const insertRecord = statement<never, [NewRecord]>(
  'regeneration_insert',
  `insert into milliard_jobs.regenerations
     (run_id, table_oid, column_name, key_columns, source_run_id, copied_rows, copied_at, table_bytes, index_bytes)
   values ($1, $2::bigint::oid, $3, $4, $5, $6, coalesce($7::timestamptz, now()), $8, $9)`,
  (r) => [
    r.runId,
    r.tableOid,
    r.column,
    r.keyColumns,
    r.sourceRunId,
    r.copiedRows,
    r.copiedAt,
    r.tableBytes,
    r.indexBytes,
  ],
);

export const storeResult = statement<never, [RunId, Record<string, string | number>, boolean]>(
  'regeneration_result',
  'update milliard_jobs.regenerations set result = $2, is_kept = $3 where run_id = $1',
  (runId, result, isKept) => [runId, JSON.stringify(result), isKept],
);

export const forgetCopy = statement<never, [RunId]>(
  'regeneration_forget',
  'update milliard_jobs.regenerations set is_kept = false where run_id = $1',
  (runId) => [runId],
);

export const deleteRecord = statement<never, [RunId]>(
  'regeneration_delete',
  'delete from milliard_jobs.regenerations where run_id = $1',
  (runId) => [runId],
);

/** The claim under which a process works at a run. */
export const selectFence = statement<{ fence: bigint }, [RunId]>(
  'regeneration_fence',
  'select fence from milliard_jobs.job_runs where run_id = $1',
  (runId) => [runId],
);

/** Keeps the claim as it is until the end of the transaction; no row = another process has the run now. */
export const holdFence = statement<{ fence: bigint }, [RunId, bigint]>(
  'regeneration_hold_fence',
  'select fence from milliard_jobs.job_runs where run_id = $1 and fence = $2 for share',
  (runId, fence) => [runId, fence],
);
