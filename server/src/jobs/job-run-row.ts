import type { Instant } from '../core/time.ts';
import type { JobOwner, JobRun, JobState, JobThrottle, Json, RunId } from './job.ts';

/** A run as the database returns it. */
export interface RunRow {
  readonly runId: RunId;
  readonly kind: string;
  readonly parameters: Json;
  readonly state: JobState;
  readonly actor: string;
  readonly homeHost: string;
  readonly createdAt: Instant;
  readonly startedAt: Instant | null;
  readonly begunAt: Instant | null;
  readonly finishedAt: Instant | null;
  readonly heartbeatAt: Instant | null;
  readonly ownerHost: string | null;
  readonly ownerPid: number | null;
  readonly replacedHost: string | null;
  readonly replacedPid: number | null;
  readonly fence: bigint;
  readonly totalRows: bigint | null;
  readonly totalPrecision: 'exact' | 'estimate' | null;
  readonly batchRows: number;
  readonly maxRowErrors: bigint;
  readonly allowedRowErrors: bigint;
  readonly retries: bigint;
  readonly rateNow: number | null;
  readonly rateMean: number | null;
  readonly activeMs: bigint;
  readonly throttledMs: bigint;
  readonly remainingMs: bigint | null;
  readonly waitReason: string | null;
  readonly throttle: JobThrottle;
  readonly error: string | null;
  readonly result: Json;
  readonly doneRows: bigint | null;
  readonly failedRows: bigint | null;
  readonly counts: readonly Readonly<Record<string, number>>[] | null;
}

const owner = (host: string | null, pid: number | null): JobOwner | null =>
  host === null || pid === null ? null : { host, pid };

/** The row as everybody sees the run. A total that turned out too low grows with what is done: never above 100 %. */
export function runOf(row: RunRow): JobRun {
  const doneRows = Number(row.doneRows ?? 0);
  return {
    runId: row.runId,
    kind: row.kind,
    parameters: row.parameters,
    state: row.state,
    actor: row.actor,
    createdAt: row.createdAt,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
    heartbeatAt: row.heartbeatAt,
    owner: owner(row.ownerHost, row.ownerPid),
    replacedOwner: owner(row.replacedHost, row.replacedPid),
    fence: Number(row.fence),
    doneRows,
    failedRows: Number(row.failedRows ?? 0),
    total:
      row.totalRows === null
        ? null
        : { rows: Math.max(Number(row.totalRows), doneRows), precision: row.totalPrecision ?? 'estimate' },
    counts: addCounts(row.counts ?? []),
    batchRows: row.batchRows,
    retries: Number(row.retries),
    rateNow: row.rateNow,
    rateMean: row.rateMean,
    activeMs: Number(row.activeMs),
    throttledMs: Number(row.throttledMs),
    remainingMs: row.remainingMs === null ? null : Number(row.remainingMs),
    waitReason: row.waitReason,
    throttle: row.throttle,
    error: row.error,
    result: row.result,
  };
}

/** Adds counts by their names. */
export function addCounts(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const part of parts) for (const [name, n] of Object.entries(part)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
}
