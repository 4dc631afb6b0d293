import type { Command } from 'commander';
import { validate as isUuid } from 'uuid';
import type { JobThrottle, RunId } from '../jobs/job.ts';
import type { JobRequest } from './run-job.ts';
import { UsageError } from './stopped.ts';
import { values } from './values.ts';

/** What every command that starts a job takes beside its own flags. */
export interface JobOptions extends ThrottleOptions {
  readonly detach?: boolean;
  readonly dryRun?: boolean;
}

export interface ThrottleOptions {
  readonly rate?: string;
  readonly maxReplicaLag?: string;
  readonly maxArchiveBacklog?: string;
  readonly vacuum?: string;
}

/** Exit codes of commands that run a job, for their help. */
export const jobExits: readonly (readonly [code: number, meaning: string])[] = [
  [4, 'paused, by Ctrl-C or SIGTERM (behind the batch under way) or from elsewhere: `milliard jobs resume` goes on'],
  [5, 'cancelled'],
];

/** Adds --detach, --dry-run and --rate to a command. */
export const withJobOptions = (command: Command): Command =>
  command
    .option('--detach', 'queue it for the servers and come back at once')
    .option('--dry-run', 'do some batches, roll them back, and foretell time, WAL and disk of the whole')
    .option('--rate <rows>', 'at most so many rows a second (as fast as it goes)');

/** Adds all that can hold a run back. */
export const withThrottleOptions = (command: Command): Command =>
  command
    .option('--rate <rows>', 'at most so many rows a second, or none')
    .option('--max-replica-lag <time>', 'wait while a replica is further behind, e.g. 10s, or none')
    .option('--max-archive-backlog <segments>', 'wait while more WAL segments wait for the archive, or none')
    .option('--vacuum <yield|ignore>', "wait while one of the run's tables is vacuumed, or do not");

const orNone = <T>(text: string, read: (text: string) => T): T | null => (text === 'none' ? null : read(text));

/** @throws UsageError */
export function readThrottle(options: ThrottleOptions): Partial<JobThrottle> {
  const { rate, maxReplicaLag, maxArchiveBacklog, vacuum } = options;
  return {
    ...(rate === undefined ? {} : { rowsPerSecond: orNone(rate, (text) => values.decimal('--rate', text, [1, 1e9])) }),
    ...(maxReplicaLag === undefined
      ? {}
      : { maxReplicaLagMs: orNone(maxReplicaLag, (text) => values.durationMs('--max-replica-lag', text, 86_400_000)) }),
    ...(maxArchiveBacklog === undefined
      ? {}
      : {
          maxArchiveBacklogSegments: orNone(maxArchiveBacklog, (text) =>
            values.integer('--max-archive-backlog', text, [0, 1_000_000]),
          ),
        }),
    ...(vacuum === undefined
      ? {}
      : { yieldsToVacuum: values.choice('--vacuum', vacuum, ['yield', 'ignore']) === 'yield' }),
  };
}

/** What `runJob` needs of these flags. @throws UsageError */
export function readJobOptions(options: JobOptions): Pick<JobRequest, 'detach' | 'dryRun' | 'throttle'> {
  const { detach = false, dryRun = false } = options;
  if (detach && dryRun) throw new UsageError('--dry-run shows what would happen here: leave out --detach.');
  return { detach, dryRun, throttle: readThrottle(options) };
}

/** @throws UsageError */
export function readRunId(text: string): RunId {
  if (isUuid(text)) return text.toLowerCase() as RunId;
  throw new UsageError(`"${text}" is no id of a run: \`milliard jobs list\` shows them.`);
}
