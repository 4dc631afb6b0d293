import type { Command } from 'commander';
import { regenerateUuidKind } from '../domains/regeneration/regenerate-uuid-jobs.ts';
import type { JobKind } from '../jobs/job.ts';
import { hasJobTables } from '../jobs/job-tables.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { createJobs } from '../jobs/jobs-service.ts';
import { createDatabase, type Database } from '../storage/database.ts';
import { type Run, stderrLogger, withApp } from './context.ts';
import type { EndingOptions } from './run-job.ts';
import { UsageError } from './stopped.ts';

/** Kinds whose runs stand in the very database their rows are in, which need not be Milliard's own. */
const foreignKinds: readonly JobKind[] = [regenerateUuidKind()];

export interface DatabaseOption {
  readonly databaseUrl?: string;
}

/** Adds --database-url to a command about jobs. */
export const withDatabaseOption = (command: Command): Command =>
  command.option('--database-url <url>', 'jobs in another PostgreSQL database, about tables of that database');

export interface JobsPlace extends DatabaseOption {
  /** What the process does, for those who find the database in use. */
  readonly purpose: string;
}

/**
 * Runs `work` with the jobs of Milliard's own database, or of the one that --database-url names.
 * @throws UsageError when that is no address, or has no jobs
 */
export async function withJobs<T>(run: Run, place: JobsPlace, work: (jobs: Jobs) => Promise<T>): Promise<T> {
  const { databaseUrl: url, purpose } = place;
  if (url === undefined) return withApp(run, purpose, ({ jobs }) => work(jobs));
  return withForeignDatabase(run, { url, purpose }, async ({ db, jobs }) => {
    if (!(await hasJobTables(db))) throw new UsageError('--database-url: there have never been jobs in this database.');
    return work(jobs);
  });
}

export interface ForeignDatabase {
  readonly db: Database;
  /** Works only once the tables of the jobs are there. */
  readonly jobs: Jobs;
}

/** Runs `work` with another database, as it is; closes it whatever happens. @throws UsageError when `url` is no address */
export async function withForeignDatabase<T>(
  run: Run,
  { url, purpose }: { readonly url: string; readonly purpose: string },
  work: (place: ForeignDatabase) => Promise<T>,
): Promise<T> {
  // The value is not repeated: it may hold a password.
  if (!/^postgres(?:ql)?:\/\//.test(url))
    throw new UsageError('--database-url must begin with postgres:// or postgresql://.');
  const { database } = run.config();
  const db = createDatabase({ ...database, url, applicationName: `milliard ${purpose}`, statementTimeoutMs: 0 });
  try {
    return await work({ db, jobs: createJobs({ db, kinds: foreignKinds, logger: stderrLogger(run.output) }) });
  } finally {
    await db.close();
  }
}

/** What `runJob` is told of --database-url: how to go on with a run of another database. Its address may hold a password. */
export const endingFor = ({ databaseUrl }: DatabaseOption): EndingOptions =>
  databaseUrl === undefined ? {} : { resumeLine: ({ runId }) => `milliard jobs resume ${runId} --database-url …` };
