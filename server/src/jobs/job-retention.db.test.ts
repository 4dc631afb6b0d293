import { beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../core/ports.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openTestDatabase } from '../testing/open-database.ts';
import { countingKind, createNumbers, createTestJobs, poison, startCounting, stopAtEnd } from '../testing/test-jobs.ts';
import { type JobState, jobStates, type RunId } from './job.ts';
import { sweepOldRuns } from './job-retention.ts';

const { db } = await openTestDatabase();
const signal = stopAtEnd();
const kinds = [countingKind(), countingKind({}, { name: 'test.kept', keepsRuns: true })];
const jobs = createTestJobs(db, { kinds });
const sweep = (known = kinds) => sweepOldRuns({ db, logger: silentLogger, kinds: known }, signal);

beforeEach(async () => {
  await createNumbers(db, 10);
  await db.query(dynamic(sql`truncate milliard_jobs.job_runs cascade`));
});

/** A run that came to stand in a state so many days ago. */
async function oldRun(state: JobState, days: number, kind = 'test.count'): Promise<RunId> {
  const { run } = await jobs.start(kind, {}, { actor: 'me' });
  await db.query(
    dynamic(sql`update milliard_jobs.job_runs set state = ${state}, finished_at = now() - ${days} * interval '1 day'
      where run_id = ${run.runId}`),
  );
  return run.runId;
}
const present = async (): Promise<readonly RunId[]> =>
  (await jobs.list({ states: [], kind: null, limit: 500, after: null })).map(({ runId }) => runId).reverse();

test('only runs that were done or cancelled more than 90 days ago are deleted', async () => {
  const kept: RunId[] = [];
  for (const state of jobStates) {
    const old = await oldRun(state, 91);
    if (state !== 'done' && state !== 'cancelled') kept.push(old);
    kept.push(await oldRun(state, 89));
  }
  expect(await sweep()).toEqual({ runs: 2, rowErrors: 0 });
  expect(await present()).toEqual(kept);
  expect(await sweep()).toEqual({ runs: 0, rowErrors: 0 });
});

test('runs of a kind that keeps them, or that is not known here, stay', async () => {
  const kept = await oldRun('done', 1_000, 'test.kept');
  const plain = await oldRun('done', 1_000);
  expect((await sweep([])).runs).toBe(0);
  expect(await present()).toEqual([kept, plain]);
  expect((await sweep()).runs).toBe(1);
  expect(await present()).toEqual([kept]);
});

test('failed rows and ranges go with their run, those of others stay', async () => {
  await poison(db, 3, 7);
  const [old, young] = [await startCounting(jobs), await startCounting(jobs)];
  for (const runId of [old, young]) await jobs.runHere(runId, { signal, whenStopped: 'release' });
  await db.query(
    dynamic(sql`update milliard_jobs.job_runs set finished_at = now() - interval '91 days' where run_id = ${old}`),
  );
  expect(await sweep()).toEqual({ runs: 1, rowErrors: 2 });
  const left = await db.query(
    dynamic<{ runId: RunId; rows: string }>(sql`
      select run_id as "runId", 'range' as rows from milliard_jobs.job_ranges
      union all select run_id, 'error' from milliard_jobs.job_row_errors order by 2`),
  );
  expect(left).toEqual(['error', 'error', 'range'].map((rows) => ({ runId: young, rows })));
});

test('more than one statement may delete is deleted, by two servers at once too', async () => {
  const runId = await oldRun('done', 91);
  await db.query(
    dynamic(sql`insert into milliard_jobs.job_row_errors (run_id, row_key, code, detail, skipped)
      select ${runId}, n::text, '23514', 'as ordered', true from generate_series(1, 12000) n`),
  );
  await db.query(
    dynamic(sql`insert into milliard_jobs.job_runs
      (run_id, kind, parameters, state, actor, home_host, batch_rows, max_row_errors, allowed_row_errors, throttle, finished_at)
      select gen_random_uuid(), 'test.count', '{}', 'done', 'me', 'h', 1, 0, 0, '{}', now() - interval '91 days' from generate_series(1, 450)`),
  );
  await Promise.all([sweep(), sweep()]);
  await sweep();
  expect(await present()).toEqual([]);
});

test('a server that stops goes on with nothing', async () => {
  const runId = await oldRun('done', 91);
  expect(await sweepOldRuns({ db, logger: silentLogger, kinds }, AbortSignal.abort())).toEqual({
    runs: 0,
    rowErrors: 0,
  });
  expect(await present()).toEqual([runId]);
});
