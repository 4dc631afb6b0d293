import type { ZodType } from 'zod';
import type { Instant } from '../core/time.ts';
import type { Database } from '../storage/database.ts';
import type { Transaction } from '../storage/transaction.ts';

export type RunId = string & { readonly __brand: 'RunId' };

/** What is stored as jsonb: cursors, parameters, results. Never a secret. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * A kind of long work: how it is cut into batches and what one batch does. The engine does the rest: transactions, the
 * checkpoint, batch sizes, throttling, retries, splitting around bad rows, progress, pause, resume and takeover.
 */
export interface JobKind<Parameters extends Json = Json, Cursor extends Json = Json, Plan = unknown> {
  /** Stable, stored with each run: `tickets.rotate`. */
  readonly name: string;
  /** One line for people: `replace every leaked ticket token`. */
  readonly title: string;
  /** Parameters as they are stored and as HTTP takes them: snake_case. */
  readonly parameters: ZodType<Parameters>;
  /**
   * Who may start and take over a run: `anyone`, or `same host` where it needs a file of the machine it was started on
   * (HTTP cannot start it, servers on other hosts leave it alone).
   */
  readonly runsOn: 'anyone' | 'same host';
  readonly batchRows: BatchLimits;
  /**
   * So many rows may fail for their data and are skipped; at the next the run fails and stands before that row. Resumed, it
   * tries the row again and allows as many failures once more. 0 = no row is ever skipped.
   */
  readonly maxRowErrors: number;
  /** Tables whose vacuum slows the run down and whose growth a rehearsal measures: names as SQL writes them, quoted where needed. */
  tables(parameters: Parameters): readonly string[];
  /** Two unfinished runs with the same key are the same run; null = every start is a new run. */
  uniqueKey(parameters: Parameters): string | null;
  /** Its runs are never deleted: the kind keeps something beside them that is needed later. Left out = deleted some time after their end. */
  readonly keepsRuns?: boolean;
  /**
   * Refuses a start before a run is stored: DomainError `job_refused` (see job-errors.ts) with the reason. Only reads. A start
   * that finds an unfinished run with the same key does not ask.
   */
  check?(context: JobCheck<Parameters>): Promise<void>;
  /** Prepares the work of this process: called at every claim, resume and takeover included. Writes nothing. */
  open(context: JobContext<Parameters>): Promise<JobWork<Cursor, Plan>>;
}

export interface BatchLimits {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

export interface JobCheck<Parameters> {
  readonly db: Database;
  readonly parameters: Parameters;
  readonly actor: string;
}

export interface JobContext<Parameters> {
  readonly runId: RunId;
  readonly parameters: Parameters;
  /** Who started the run. */
  readonly actor: string;
  /** The database that holds the run and its rows. */
  readonly db: Database;
  /** Aborted when this process shall stop working at the run. */
  readonly signal: AbortSignal;
  /**
   * A rehearsal: every batch is rolled back; whatever `open` would prepare outside a transaction must not be done. `begin` and
   * the batches share one transaction, so `total`, asked before them on another connection, sees nothing of what `begin` did;
   * `ranges` and `finish` are not asked.
   */
  readonly rehearsal: boolean;
}

export interface JobWork<Cursor extends Json = Json, Plan = unknown> {
  /** Once a run, in a transaction committed before the first batch (a cut-off, a table of old values). */
  begin?(tx: Transaction): Promise<void>;
  /**
   * Rows to be done in all, those already done included; `null` where nobody can know. Asked once a run, after `begin`, and
   * again after `finish` said `again`. Where more is done than it says, what is done is shown as the total.
   */
  total(): Promise<JobTotal | null>;
  /** Cuts the work into ranges that may run at the same time; left out = one range. Asked once a run, after `begin`. */
  ranges?(): Promise<readonly JobRange<Cursor>[]>;
  /** The next batch after a cursor, at most `rows` of them; null = nothing is left in this range. Only reads. */
  plan(tx: Transaction, ask: BatchAsk<Cursor>): Promise<JobBatch<Cursor, Plan> | null>;
  /**
   * Does the batch. The cursor is written in the same transaction. A fault of the data (unique, check, foreign key, not null, a
   * value out of range, an exception of a trigger) or a DomainError means that one of its rows cannot be done: the batch is split
   * until that row stands alone. Every other error stops the run or is tried again. May run several times for one batch.
   */
  apply(tx: Transaction, batch: JobBatch<Cursor, Plan>): Promise<BatchResult>;
  /** After the transaction of a batch, whether it was committed or not: for caches of what it changed. Must not throw. */
  settled?(): void | Promise<void>;
  /** After the last batch of the last range: proves that nothing is left, or says what to do next. */
  finish(): Promise<JobFinish<Cursor>>;
  /** Takes away what the run made and nobody needs any more, when it is cancelled. May be called again; `signal` is aborted. */
  cancel?(): Promise<void>;
  /** Lets go of files and the like in this process. */
  close?(): Promise<void>;
}

export interface JobTotal {
  readonly rows: number;
  /** An estimate is shown with `~`. */
  readonly precision: 'exact' | 'estimate';
}

export interface JobRange<Cursor extends Json> {
  /** Where the range begins: its first batch is planned after it. null = from the very start. */
  readonly from: Cursor | null;
  /** The last cursor of the range, inclusive. null = to the very end. */
  readonly to: Cursor | null;
}

export interface BatchAsk<Cursor extends Json> {
  readonly after: Cursor | null;
  readonly upTo: Cursor | null;
  readonly rows: number;
}

export interface JobBatch<Cursor extends Json, Plan> {
  /** Rows looked at: what counts as done of the total. */
  readonly rows: number;
  /** Where the next batch begins. */
  readonly cursor: Cursor;
  /** How `apply` finds the rows. */
  readonly plan: Plan;
  /** The row itself when the batch has only one, for the list of failed rows. Never a secret. */
  readonly rowKey: string;
}

export interface BatchResult {
  /** Rows changed, by what was done with them: added up over the run and shown at its end, e.g. {issued: 1000, skipped: 2}. */
  readonly counts: Readonly<Record<string, number>>;
}

export type JobFinish<Cursor extends Json> =
  /** Complete; the result is kept with the run and printed. */
  | { readonly kind: 'done'; readonly result: Json }
  /** More was found: goes on with one range from this cursor. */
  | { readonly kind: 'again'; readonly from: Cursor | null; readonly reason: string }
  /** Not yet: asks again after a while, with the reason shown. */
  | { readonly kind: 'wait'; readonly reason: string; readonly retryAfterMs: number }
  /** The proof does not hold and more batches would not help. */
  | { readonly kind: 'failed'; readonly message: string; readonly result: Json };

export const jobStates = ['queued', 'running', 'paused', 'cancelling', 'cancelled', 'failed', 'done'] as const;
export type JobState = (typeof jobStates)[number];

/** What can happen to a run. `claim` = a process takes it; `release` = a server that stops gives it back. */
export type JobEvent = 'claim' | 'release' | 'pause' | 'resume' | 'cancel' | 'fail' | 'finish' | 'cancelled';

/** The whole state machine: an event that is missing in a state is refused there. */
export const transitions = {
  queued: { claim: 'running', pause: 'paused', cancel: 'cancelling' },
  running: {
    // The process that held it is gone: somebody else goes on.
    claim: 'running',
    release: 'queued',
    pause: 'paused',
    cancel: 'cancelling',
    fail: 'failed',
    finish: 'done',
  },
  paused: { resume: 'queued', cancel: 'cancelling' },
  failed: { resume: 'queued', cancel: 'cancelling' },
  // Whoever holds it, or any server, tidies up.
  cancelling: { claim: 'cancelling', release: 'cancelling', cancelled: 'cancelled', fail: 'failed' },
  cancelled: {},
  done: {},
} as const satisfies Record<JobState, Partial<Record<JobEvent, JobState>>>;

/** Who works at a run. */
export interface JobOwner {
  readonly host: string;
  readonly pid: number;
}

/** What an operator may change while a run goes on. */
export interface JobThrottle {
  /** null = as fast as it goes. */
  readonly rowsPerSecond: number | null;
  /** Replicas further behind than this make the run wait; null = never. */
  readonly maxReplicaLagMs: number | null;
  /** More finished WAL segments than this waiting for the archive make the run wait; null = never. */
  readonly maxArchiveBacklogSegments: number | null;
  /** Wait while one of the run's tables is vacuumed. */
  readonly yieldsToVacuum: boolean;
}

/** A run as it stands in the database: the same for every terminal, the API and the console. */
export interface JobRun {
  readonly runId: RunId;
  readonly kind: string;
  readonly parameters: Json;
  readonly state: JobState;
  readonly actor: string;
  readonly createdAt: Instant;
  readonly startedAt: Instant | null;
  readonly finishedAt: Instant | null;
  readonly heartbeatAt: Instant | null;
  readonly owner: JobOwner | null;
  /** Whom the present owner took the run over from, when that process had died. */
  readonly replacedOwner: JobOwner | null;
  /** Times the run was taken by a process; checkpoints of an older one are refused. */
  readonly fence: number;
  /** Rows looked at, failed ones included. */
  readonly doneRows: number;
  readonly failedRows: number;
  readonly total: JobTotal | null;
  readonly counts: Readonly<Record<string, number>>;
  readonly batchRows: number;
  readonly retries: number;
  /** Rows a second over the last batches, and over this process's active time; null = not known yet. */
  readonly rateNow: number | null;
  readonly rateMean: number | null;
  /** Active time of all processes that worked at it, waits of a throttle included, pauses not. */
  readonly activeMs: number;
  readonly throttledMs: number;
  /** Remaining active time; null = not known (see progress.ts). */
  readonly remainingMs: number | null;
  /** Why it waits just now: `replica lag 12 s (limit 10 s)`; null = it does not. */
  readonly waitReason: string | null;
  readonly throttle: JobThrottle;
  /** What went wrong, for people, when state is failed. */
  readonly error: string | null;
  /** The proof and the figures of a finished run. */
  readonly result: Json;
}

/** One row that could not be done. */
export interface JobRowError {
  readonly rowKey: string;
  readonly code: string;
  readonly detail: string;
  readonly recordedAt: Instant;
}
