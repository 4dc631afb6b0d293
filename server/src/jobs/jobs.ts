import type { Instant } from '../core/time.ts';
import type { JobRowError, JobRun, JobState, JobThrottle, RunId } from './job.ts';

/** A kind as it is listed. */
export interface JobKindInfo {
  readonly name: string;
  readonly title: string;
  readonly runsOn: 'anyone' | 'same host';
}

export interface StartOptions {
  readonly actor: string;
  /** Changes of the standard throttle. */
  readonly throttle?: Partial<JobThrottle>;
  /** The actor's own name for this request: sent again, it finds the same run, finished or not. */
  readonly requestKey?: string;
  /** For the servers, at once. Otherwise they leave the run alone for two seconds, for `runHere` of who started it. */
  readonly detached?: boolean;
}

export interface ResumeOptions {
  /** As in StartOptions. */
  readonly detached?: boolean;
}

export interface StartedRun {
  readonly run: JobRun;
  /**
   * An unfinished run with the same key was there already, in whatever state: a paused or failed one is to be resumed before
   * `runHere` takes it. Or one of the same request.
   */
  readonly replayed: boolean;
}

export interface RunFilter {
  /** Runs in one of these; an empty list = in any state. */
  readonly states: readonly JobState[];
  readonly kind: string | null;
  readonly limit: number;
  /** Goes on after this run, newest first. */
  readonly after: RunId | null;
}

export interface RunHereOptions {
  /** Aborting finishes the batch, checkpoints and gives the run up as `whenStopped` says. */
  readonly signal: AbortSignal;
  /** `pause` for a command that is interrupted, `release` for a server that stops. */
  readonly whenStopped: 'pause' | 'release';
  /** Told at every checkpoint, at most twice a second, and once at the end. */
  readonly onProgress?: (run: JobRun) => void;
}

/** What a rehearsal of some batches, all rolled back, predicts. */
export interface JobForecast {
  readonly sampledRows: number;
  readonly sampledBatches: number;
  /** Of those: batches with a row that cannot be done. */
  readonly failedBatches?: number;
  /** Others wrote meanwhile: their WAL is in the figure. */
  readonly otherWriters?: boolean;
  readonly total: JobTotalForecast | null;
}

export interface JobTotalForecast {
  readonly rows: number;
  readonly precision: 'exact' | 'estimate';
  readonly durationMs: number;
  readonly walBytes: number;
  /** Growth of the tables and indexes; may be negative. */
  readonly diskBytes: number;
}

/** Unfinished runs of one kind in one state. */
export interface UnfinishedRuns {
  readonly kind: string;
  readonly state: JobState;
  readonly runs: number;
  /** Since the last sign of life of the one that was silent longest; null = no process works, or should work, at any of them. */
  readonly oldestHeartbeatMs: number | null;
}

/** Everything about runs: the facade that HTTP and the command line use. */
export interface Jobs {
  kinds(): readonly JobKindInfo[];
  /** Queues a run, or finds the unfinished one with the same key. @throws DomainError `job_kind_unknown`, `job_refused`; InvalidInputError */
  start(kind: string, parameters: unknown, options: StartOptions): Promise<StartedRun>;
  /** Rolls every batch back. @throws as `start` */
  rehearse(
    kind: string,
    parameters: unknown,
    options: { readonly batches: number; readonly actor: string },
  ): Promise<JobForecast>;
  /** @throws DomainError `job_not_found` */
  get(runId: RunId): Promise<JobRun>;
  list(filter: RunFilter): Promise<readonly JobRun[]>;
  /** How many runs are unfinished, by kind and state: for those who watch servers. */
  unfinished(): Promise<readonly UnfinishedRuns[]>;
  /** @throws DomainError `job_not_found`, `job_state_conflict` (facts: state, allowed) */
  pause(runId: RunId, actor: string): Promise<JobRun>;
  /** Queues it for the servers; `runHere` afterwards runs it in this process. */
  resume(runId: RunId, actor: string, options?: ResumeOptions): Promise<JobRun>;
  /** What nobody holds is tidied up here and now, else by its owner: it may return a run that is still `cancelling`. */
  cancel(runId: RunId, actor: string): Promise<JobRun>;
  setThrottle(runId: RunId, throttle: Partial<JobThrottle>, actor: string): Promise<JobRun>;
  errors(
    runId: RunId,
    page: { readonly limit: number; readonly after: number },
  ): Promise<readonly (JobRowError & { readonly position: number })[]>;
  /**
   * Takes the run and works at it until it is done, failed, cancelled, paused by somebody, or `signal` says stop.
   * Returns how it stands then. @throws DomainError `job_held_elsewhere` (facts: host, pid) while a living process holds it, or
   * when another one took it from this one; `job_state_conflict` when it is paused or failed (resume it first) or has ended;
   * `job_not_startable_here`; StorageError when the database is away at the end
   */
  runHere(runId: RunId, options: RunHereOptions): Promise<JobRun>;
  /** How the run stands, each time something changed, at most twice a second, until it is done, failed or cancelled (a paused run is watched on) or the signal. Reads the database; while that is away the last known state is given with a reason to wait. */
  watch(runId: RunId, signal: AbortSignal): AsyncIterable<JobRun>;
  /**
   * A server's part: takes queued runs and orphans until the signal, then releases what it holds. Deletes what was over long ago
   * (see job-retention.ts).
   */
  serve(options: { readonly signal: AbortSignal; readonly concurrency: number }): Promise<void>;
}

/** The moment a run is expected to end at the present speed; null = not known. */
export const expectedEnd = (run: JobRun, now: Instant): Instant | null =>
  run.remainingMs === null ? null : (Math.round(now + run.remainingMs) as Instant);
