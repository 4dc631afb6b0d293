import { afterAll } from 'vitest';
import { regenerateUuidKind } from '../domains/regeneration/regenerate-uuid-jobs.ts';
import type { JobKind, JobRun } from '../jobs/job.ts';
import { ensureJobTables } from '../jobs/job-tables.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Database } from '../storage/database.ts';
import { createTestClient } from './open-database.ts';
import { testDatabase } from './test-database.ts';
import { createTestJobs, stopAtEnd } from './test-jobs.ts';

export interface ForeignDatabase {
  readonly db: Database;
  readonly url: string;
  /** Runs SQL, several statements too. */
  script(text: string): Promise<void>;
  /** The rows of one statement. */
  rows<Row = Record<string, unknown>>(text: string): Promise<Row[]>;
}

/** A database that is no Milliard database, with the tables of the engine. Call it at the top of a test file. */
export async function openForeignDatabase(): Promise<ForeignDatabase> {
  const { url } = await testDatabase({ migrated: false });
  const db = createTestClient(url, { poolSize: 6 });
  afterAll(() => db.close());
  await ensureJobTables(db);
  return foreignDatabase(db, url);
}

const foreignDatabase = (db: Database, url: string): ForeignDatabase => ({
  db,
  url,
  script: (text) => db.session((session) => session.script(text)),
  rows: <Row>(text: string) => db.query<Row>({ text, values: [] }),
});

export interface RegenerationHooks {
  /** Rows of every batch. */
  readonly batchRows?: number;
  /** What an application does before the n-th batch, from 0 on, in transactions of its own. */
  readonly beforeBatch?: (n: number) => Promise<void>;
  /** The same before the n-th look for what is left. */
  readonly beforeFinish?: (n: number) => Promise<void>;
}

export type RegenerationKind = ReturnType<typeof regenerateUuidKind>;

/** The kind with a test's hand in it. */
export function hookedKind({ batchRows, beforeBatch, beforeFinish }: RegenerationHooks = {}): RegenerationKind {
  const kind = regenerateUuidKind();
  let batches = 0;
  let looks = 0;
  return {
    ...kind,
    ...(batchRows === undefined ? {} : { batchRows: { initial: batchRows, min: batchRows, max: batchRows } }),
    async open(context) {
      const work = await kind.open(context);
      return {
        ...work,
        async plan(tx, ask) {
          await beforeBatch?.(batches++);
          return work.plan(tx, ask);
        },
        async finish() {
          await beforeFinish?.(looks++);
          return work.finish();
        },
      };
    },
  };
}

export interface RegenerationRequest {
  readonly table: string;
  readonly column?: string;
  readonly recheck?: boolean;
  readonly forget?: boolean;
  readonly anew?: boolean;
}

export const jobsOf = (db: Database, kind: RegenerationKind = hookedKind(), pid = 1): Jobs =>
  createTestJobs(db, { kinds: [kind as unknown as JobKind], pid });

/** Starts a run in this process and works at it to its end. Call `regenerator` at the top of a test file. */
export function regenerator(
  db: Database,
): (request: RegenerationRequest, hooks?: RegenerationHooks) => Promise<JobRun> {
  const signal = stopAtEnd();
  return async ({ column = 'token', ...request }, hooks = {}) => {
    const jobs = jobsOf(db, hookedKind(hooks));
    const { run } = await jobs.start('regenerate-uuid', { column, ...request }, { actor: 'test' });
    if (run.state === 'failed' || run.state === 'paused') await jobs.resume(run.runId, 'test');
    return jobs.runHere(run.runId, { signal, whenStopped: 'pause' });
  };
}
