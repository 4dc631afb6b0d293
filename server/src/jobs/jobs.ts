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
}

export interface StartedRun {
  readonly run: JobRun;
  /** An unfinished run with the same key was there already. */
  readonly replayed: boolean;
}

export interface RunFilter {
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
  /** @throws DomainError `job_not_found`, `job_state_conflict` (facts: state, allowed) */
  pause(runId: RunId, actor: string): Promise<JobRun>;
  /** Queues it for the servers; `runHere` afterwards runs it in this process. */
  resume(runId: RunId, actor: string): Promise<JobRun>;
  cancel(runId: RunId, actor: string): Promise<JobRun>;
  setThrottle(runId: RunId, throttle: Partial<JobThrottle>, actor: string): Promise<JobRun>;
  errors(
    runId: RunId,
    page: { readonly limit: number; readonly after: number },
  ): Promise<readonly (JobRowError & { readonly position: number })[]>;
  /**
   * Takes the run and works at it until it is done, failed, cancelled, paused by somebody, or `signal` says stop.
   * Returns how it stands then. @throws DomainError `job_held_elsewhere` (facts: host, pid) while a living process holds it
   */
  runHere(runId: RunId, options: RunHereOptions): Promise<JobRun>;
  /** How the run stands, each time something changed, at most twice a second; ends with its last state. Reads the database. */
  watch(runId: RunId, signal: AbortSignal): AsyncIterable<JobRun>;
  /** A server's part: takes queued runs and orphans until the signal, then releases what it holds. */
  serve(options: { readonly signal: AbortSignal; readonly concurrency: number }): Promise<void>;
}

/** The moment a run is expected to end at the present speed; null = not known. */
export const expectedEnd = (run: JobRun, now: Instant): Instant | null =>
  run.remainingMs === null ? null : ((now + run.remainingMs) as Instant);
