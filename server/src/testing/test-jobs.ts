import { afterAll } from 'vitest';
import { z } from 'zod';
import type { JobFinish, JobKind, JobThrottle, JobTotal, RunId } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { createJobs, type JobsDeps } from '../jobs/jobs-service.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import type { Transaction } from '../storage/transaction.ts';

export interface CountingParameters {
  readonly [name: string]: string | number | boolean;
  readonly key: string;
  readonly ranges: number;
}

/** What a test does to a kind in the middle of its work. */
export interface CountingHooks {
  begin?: (tx: Transaction) => Promise<void>;
  plan?: () => Promise<void>;
  apply?: (ids: readonly number[], tx: Transaction) => Promise<void>;
  finish?: () => Promise<JobFinish<number> | null>;
  cancel?: () => Promise<void>;
  close?: () => Promise<void>;
  total?: () => Promise<JobTotal | null>;
}

interface CountingPlan {
  readonly ids: readonly number[];
}

const parameters = z.strictObject({
  key: z.string().default(''),
  ranges: z.int().min(1).max(16).default(1),
});

export type CountingKind = JobKind<CountingParameters, number, CountingPlan>;

/**
 * Counts every row of the table `numbers` up by one: a row that was done twice has 2, one left out 0. Rows whose `value` is
 * negative break a constraint.
 */
export function countingKind(hooks: CountingHooks = {}, changes: Partial<CountingKind> = {}): CountingKind {
  return {
    name: 'test.count',
    title: 'count every row once',
    parameters,
    runsOn: 'anyone',
    batchRows: { initial: 100, min: 10, max: 1_000 },
    maxRowErrors: 3,
    tables: () => ['numbers'],
    uniqueKey: ({ key }) => (key === '' ? null : key),
    open: async ({ db, parameters: { ranges } }) => ({
      ...(hooks.begin === undefined ? {} : { begin: hooks.begin }),
      total: hooks.total ?? (async () => ({ rows: await countRows(db), precision: 'exact' as const })),
      ranges: async () => {
        const last = await countRows(db);
        const width = Math.ceil(last / ranges);
        return Array.from({ length: ranges }, (_, i) => ({
          from: i * width,
          to: i === ranges - 1 ? null : (i + 1) * width,
        }));
      },
      async plan(tx, { after, upTo, rows }) {
        await hooks.plan?.();
        const found = await tx.run(
          dynamic<{ id: number }>(sql`select id from numbers where id > ${after ?? 0}
            and (${upTo}::integer is null or id <= ${upTo}::integer) order by id limit ${rows}`),
        );
        const last = found.at(-1);
        if (last === undefined) return null;
        return {
          rows: found.length,
          cursor: last.id,
          plan: { ids: found.map(({ id }) => id) },
          rowKey: String(last.id),
        };
      },
      async apply(tx, { plan: { ids } }) {
        await hooks.apply?.(ids, tx);
        await tx.run(dynamic(sql`update numbers set done = done + 1 where id = any(${ids}::integer[])`));
        return { counts: { counted: ids.length } };
      },
      finish: async () => (await hooks.finish?.()) ?? { kind: 'done', result: { left: await countLeft(db) } },
      ...(hooks.cancel === undefined ? {} : { cancel: hooks.cancel }),
      ...(hooks.close === undefined ? {} : { close: hooks.close }),
    }),
    ...changes,
  };
}

/** Makes the table with rows 1..n, none of them done. A row with a negative value cannot be updated. */
export async function createNumbers(db: Database, rows: number): Promise<void> {
  await db.query(
    dynamic(sql`create table if not exists numbers (id integer primary key, value integer not null default 1, done integer not null default 0,
      constraint not_poisoned check (value >= 0 or done = 0))`),
  );
  await db.query(dynamic(sql`truncate numbers`));
  await db.query(dynamic(sql`insert into numbers (id) select generate_series(1, ${rows})`));
}

export const poison = (db: Database, ...ids: number[]): Promise<unknown> =>
  db.query(dynamic(sql`update numbers set value = -1 where id = any(${ids}::integer[])`));

const countRows = async (db: Database): Promise<number> =>
  Number((await db.query(dynamic<{ n: bigint }>(sql`select count(*) as n from numbers`)))[0]?.n);

const countLeft = async (db: Database): Promise<number> =>
  Number((await db.query(dynamic<{ n: bigint }>(sql`select count(*) as n from numbers where done = 0`)))[0]?.n);

/** How often rows were counted: `{0: left out, 1: right, 2: done twice}`. */
export async function countsOf(db: Database): Promise<Record<number, number>> {
  const rows = await db.query(
    dynamic<{ done: number; n: bigint }>(sql`select done, count(*) as n from numbers group by done order by done`),
  );
  return Object.fromEntries(rows.map(({ done, n }) => [done, Number(n)]));
}

/** Nothing of the machine the tests run on slows a run down. */
export const noThrottle: JobThrottle = {
  rowsPerSecond: null,
  maxReplicaLagMs: null,
  maxArchiveBacklogSegments: null,
  yieldsToVacuum: false,
};

/** An engine with short times, as if it ran in a process of its own. */
export const createTestJobs = (db: Database, deps: Omit<JobsDeps, 'db'>): Jobs =>
  createJobs({
    db,
    ...deps,
    timing: { heartbeatMs: 50, pollMs: 50, reservedMs: 0, retryPausesMs: [10, 10], ...deps.timing },
  });

/** Runs that a failing test would leave behind are stopped at the end of its file. */
export function stopAtEnd(): AbortSignal {
  const stopper = new AbortController();
  afterAll(() => stopper.abort());
  return stopper.signal;
}

/** Waits for a condition, asking every few milliseconds; the test's own time limit ends it. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

export const startCounting = async (
  jobs: Jobs,
  given: { key?: string; ranges?: number } = {},
  throttle: Partial<JobThrottle> = {},
): Promise<RunId> =>
  (await jobs.start('test.count', given, { actor: 'tester', throttle: { ...noThrottle, ...throttle } })).run.runId;
