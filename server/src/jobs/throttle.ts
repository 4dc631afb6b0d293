import { type FieldError, InvalidInputError } from '../core/errors.ts';
import type { JobThrottle } from './job.ts';

/** As a run goes when nobody said otherwise. */
export const standardThrottle: JobThrottle = {
  rowsPerSecond: null,
  maxReplicaLagMs: 10_000,
  maxArchiveBacklogSegments: 64,
  yieldsToVacuum: true,
};

/** How the database is doing, as far as this user may see it. */
export interface LoadSignals {
  /** The replica furthest behind. */
  readonly replica: { readonly name: string; readonly lagMs: number } | null;
  /** Finished WAL segments that wait for the archive; null = there is no archive, or it cannot be seen. */
  readonly archiveBacklogSegments: number | null;
  /** A vacuum of one of the run's tables, and how long the run has given way to it. */
  readonly vacuum: { readonly table: string; readonly yieldedMs: number } | null;
}

export const quiet: LoadSignals = { replica: null, archiveBacklogSegments: null, vacuum: null };

// A vacuum of a large table takes hours; a run that gave way for ever would never end.
const yieldAtMostMs = 60_000;

/** Why the run must wait, as a phrase for people; null = it need not. */
export function reasonToWait(throttle: JobThrottle, signals: LoadSignals): string | null {
  const { replica, archiveBacklogSegments: backlog, vacuum } = signals;
  const { maxReplicaLagMs: maxLag, maxArchiveBacklogSegments: maxBacklog } = throttle;
  if (replica !== null && maxLag !== null && replica.lagMs > maxLag)
    return `replica ${replica.name} is ${seconds(replica.lagMs)} behind (limit ${seconds(maxLag)})`;
  if (backlog !== null && maxBacklog !== null && backlog > maxBacklog)
    return `${backlog} WAL segments wait for the archive (limit ${maxBacklog})`;
  if (vacuum !== null && throttle.yieldsToVacuum && vacuum.yieldedMs < yieldAtMostMs)
    return `table ${vacuum.table} is being vacuumed`;
  return null;
}

const seconds = (ms: number): string => `${Number((ms / 1_000).toFixed(1))} s`;

/** The phrase for a run that is held to a given speed. */
export const reasonOfRate = (rowsPerSecond: number): string => `held to ${rowsPerSecond.toLocaleString('en')} rows/s`;

/** A limit of rows a second, as debt that is paid off by time; pure. */
export interface RateLimit {
  readonly owedRows: number;
  readonly atMs: number;
}

export const noDebt = (atMs: number): RateLimit => ({ owedRows: 0, atMs });

/** Rows were done. */
export function owe(limit: RateLimit, atMs: number, spent: { rows: number; rowsPerSecond: number }): RateLimit {
  return { owedRows: owedAt(limit, atMs, spent.rowsPerSecond) + spent.rows, atMs };
}

/** How long to wait before the next batch. */
export const waitMs = (limit: RateLimit, atMs: number, rowsPerSecond: number | null): number =>
  rowsPerSecond === null ? 0 : (owedAt(limit, atMs, rowsPerSecond) / rowsPerSecond) * 1_000;

// Time that was not used is forgotten after a tenth of a second: no burst after a wait.
const owedAt = ({ owedRows, atMs }: RateLimit, nowMs: number, rowsPerSecond: number): number =>
  Math.max(-rowsPerSecond / 10, owedRows - ((nowMs - atMs) / 1_000) * rowsPerSecond);

/** A limited run does at most a quarter of a second's rows at once, so that it goes evenly and a pause is quick. */
export const rowsAtOnce = (rows: number, rowsPerSecond: number | null): number =>
  rowsPerSecond === null ? rows : Math.max(1, Math.min(rows, Math.ceil(rowsPerSecond / 4)));

/** @throws InvalidInputError for numbers that are no limits */
export function checkThrottle(throttle: Partial<JobThrottle>): void {
  const errors: FieldError[] = [];
  const check = (name: keyof JobThrottle, pointer: string, lowest: number): void => {
    const value = throttle[name];
    if (value === undefined || value === null || typeof value === 'boolean') return;
    if (!Number.isFinite(value) || value < lowest)
      errors.push({ pointer, code: 'invalid_value', detail: `must be a number of at least ${lowest}, or null` });
  };
  check('rowsPerSecond', '/throttle/rows_per_second', 1);
  check('maxReplicaLagMs', '/throttle/max_replica_lag_ms', 0);
  check('maxArchiveBacklogSegments', '/throttle/max_archive_backlog_segments', 0);
  if (errors.length > 0) throw new InvalidInputError(errors);
}

/**
 * How many WAL segments lie between two of their file names.
 * @returns null when one is no name of a segment
 */
export function segmentsBetween(older: string | null, newer: string | null, segmentBytes: number): number | null {
  const from = segmentNumber(older, segmentBytes);
  const to = segmentNumber(newer, segmentBytes);
  return from === null || to === null ? null : Math.max(0, to - from);
}

// Eight digits of the timeline, eight of the file, eight of the segment in it.
function segmentNumber(name: string | null, segmentBytes: number): number | null {
  const match = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})/.exec(name ?? '');
  if (match === null) return null;
  return Number.parseInt(match[1] ?? '', 16) * (2 ** 32 / segmentBytes) + Number.parseInt(match[2] ?? '', 16);
}
