import { z } from 'zod';
import { formatInstant, type Instant } from '../core/time.ts';
import { type JobRowError, type JobRun, type JobState, type JobThrottle, jobStates } from '../jobs/job.ts';
import { operatorEventsIn } from '../jobs/job-states.ts';
import { expectedEnd, type JobKindInfo } from '../jobs/jobs.ts';
import { fractionDone } from '../jobs/progress.ts';

const moment = (description: string) => z.string().nullable().meta({ format: 'date-time', description });
const owner = z.object({ host: z.string(), pid: z.int() });
const rate = (description: string) => z.number().nullable().meta({ description });
const durationMs = (description: string) => z.number().meta({ description });

/** What a person or a program may ask of a run. */
export const jobActions = ['pause', 'resume', 'cancel'] as const;
export type JobAction = (typeof jobActions)[number];

export const throttleFields = {
  rows_per_second: z
    .number()
    .min(1)
    .max(1e9)
    .nullable()
    .meta({ description: 'At most so many rows a second; null = as fast as it goes.' }),
  max_replica_lag_ms: z.int().min(0).max(86_400_000).nullable().meta({
    description: 'Waits while a replica is further behind than this; null = never.',
  }),
  max_archive_backlog_segments: z.int().min(0).max(1_000_000).nullable().meta({
    description: 'Waits while more finished WAL segments than this wait for the archive; null = never.',
  }),
  yields_to_vacuum: z.boolean().meta({ description: "Waits while one of the run's tables is vacuumed." }),
};

const throttleSchema = z.object(throttleFields);

export const jobSchema = z
  .object({
    run_id: z.string(),
    kind: z.string(),
    parameters: z.looseObject({}),
    state: z.enum(jobStates),
    allowed_actions: z.array(z.enum(jobActions)).meta({ description: 'What can be asked of it in this state.' }),
    actor: z.string().meta({ description: 'Who started it.' }),
    created_at: z.string().meta({ format: 'date-time' }),
    started_at: moment('When a process took it first.'),
    finished_at: moment('When it came to its end.'),
    heartbeat_at: moment('The last sign of life of the process that works at it; about one a second.'),
    expected_end_at: moment('heartbeat_at and remaining_ms together; null = not known.'),
    owner: owner.nullable().meta({ description: 'The process that works at it.' }),
    replaced_owner: owner
      .nullable()
      .meta({ description: 'A process that died, from which `owner` took the run over.' }),
    fence: z.int().meta({ description: 'How many times a process took it.' }),
    done_rows: z.int(),
    failed_rows: z.int().meta({ description: 'Rows that could not be done: see …/errors.' }),
    total: z
      .object({ rows: z.int(), precision: z.enum(['exact', 'estimate']) })
      .nullable()
      .meta({ description: 'Rows to be done in all; null = nobody can know.' }),
    percent: z.number().nullable().meta({ description: 'Of `total`, 0 to 100, rounded down to a tenth.' }),
    counts: z.record(z.string(), z.int()).meta({ description: 'Rows by what was done with them.' }),
    batch_rows: z.int().meta({ description: 'Rows of the next batch; adapts to 100 ms.' }),
    retries: z.int().meta({ description: 'Batches that were tried again, after a deadlock for instance.' }),
    rows_per_second_now: rate('Over the last batches.'),
    rows_per_second_mean: rate("Over this process's active time."),
    active_ms: durationMs('Time that processes worked at it, waits of a throttle included, pauses not.'),
    throttled_ms: durationMs('Of it, time that it waited for a throttle.'),
    remaining_ms: durationMs('Remaining active time; null = not known yet.').nullable(),
    wait_reason: z.string().nullable().meta({ description: 'Why it waits just now; null = it does not.' }),
    throttle: throttleSchema,
    error: z.string().nullable().meta({ description: 'What went wrong, when `state` is failed.' }),
    result: z.unknown().meta({ description: 'The proof and the figures of a finished run.' }),
  })
  .meta({ id: 'Job' });
export type JobDocument = z.output<typeof jobSchema>;

export const jobPageSchema = z
  .object({
    items: z.array(jobSchema),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Give it as `cursor` for the next page; null on the last page.' }),
    next: z.string().nullable().meta({ description: 'The URL of the next page; null on the last page.' }),
  })
  .meta({ id: 'JobPage' });

export const jobErrorPageSchema = z
  .object({
    items: z.array(
      z.object({
        row_key: z.string().meta({ description: 'Which row.' }),
        code: z.string(),
        detail: z.string(),
        recorded_at: z.string().meta({ format: 'date-time' }),
      }),
    ),
    next_cursor: z.string().nullable(),
    next: z.string().nullable(),
  })
  .meta({ id: 'JobErrorPage' });

export const jobKindsSchema = z
  .object({
    items: z.array(
      z.object({
        name: z.string(),
        title: z.string(),
        runs_on: z.enum(['anyone', 'same host']).meta({
          description: '`same host`: needs a file of the machine it is started on, so only the CLI starts it.',
        }),
      }),
    ),
  })
  .meta({ id: 'JobKinds' });

const instantText = (at: Instant | null): string | null => (at === null ? null : formatInstant(at));

/** Share of the total that is done, 0 to 100, rounded down to a tenth; null where the total is not known. */
export function percentOf({ doneRows, total, state }: Pick<JobRun, 'doneRows' | 'total' | 'state'>): number | null {
  if (state === 'done') return 100;
  const fraction = fractionDone(doneRows, total);
  return fraction === null ? null : Math.floor(1_000 * fraction) / 10;
}

export const allowedActions = (state: JobState): JobAction[] =>
  jobActions.filter((action) => operatorEventsIn(state).includes(action));

/** A run as the API and `--json` show it. Says nothing that changes by itself: the same row is the same document. */
export function toJobDocument(run: JobRun): JobDocument {
  return {
    run_id: run.runId,
    kind: run.kind,
    parameters: run.parameters as JobDocument['parameters'],
    state: run.state,
    allowed_actions: allowedActions(run.state),
    actor: run.actor,
    created_at: formatInstant(run.createdAt),
    started_at: instantText(run.startedAt),
    finished_at: instantText(run.finishedAt),
    heartbeat_at: instantText(run.heartbeatAt),
    expected_end_at: run.heartbeatAt === null ? null : instantText(expectedEnd(run, run.heartbeatAt)),
    owner: run.owner === null ? null : { ...run.owner },
    replaced_owner: run.replacedOwner === null ? null : { ...run.replacedOwner },
    fence: run.fence,
    done_rows: run.doneRows,
    failed_rows: run.failedRows,
    total: run.total === null ? null : { ...run.total },
    percent: percentOf(run),
    counts: { ...run.counts },
    batch_rows: run.batchRows,
    retries: run.retries,
    rows_per_second_now: rounded(run.rateNow),
    rows_per_second_mean: rounded(run.rateMean),
    active_ms: Math.round(run.activeMs),
    throttled_ms: Math.round(run.throttledMs),
    remaining_ms: run.remainingMs === null ? null : Math.round(run.remainingMs),
    wait_reason: run.waitReason,
    throttle: toThrottleDocument(run.throttle),
    error: run.error,
    result: run.result,
  };
}

const rounded = (perSecond: number | null): number | null =>
  perSecond === null ? null : Math.round(perSecond * 10) / 10;

const toThrottleDocument = (throttle: JobThrottle) => ({
  rows_per_second: throttle.rowsPerSecond,
  max_replica_lag_ms: throttle.maxReplicaLagMs,
  max_archive_backlog_segments: throttle.maxArchiveBacklogSegments,
  yields_to_vacuum: throttle.yieldsToVacuum,
});

export const toJobErrorDocument = (error: JobRowError) => ({
  row_key: error.rowKey,
  code: error.code,
  detail: error.detail,
  recorded_at: formatInstant(error.recordedAt),
});

export const toKindDocument = ({ name, title, runsOn }: JobKindInfo) => ({ name, title, runs_on: runsOn });
