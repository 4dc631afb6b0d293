import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../core/ports.ts';
import { dynamic, sql } from '../storage/sql.ts';
import type { Transaction } from '../storage/transaction.ts';
import { openCommitCutter } from '../testing/commit-cutter.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import {
  type CountingHooks,
  countingKind,
  countsOf,
  createNumbers,
  createTestJobs,
  poison,
  startCounting,
  stopAtEnd,
  until,
} from '../testing/test-jobs.ts';
import type { JobRun, RunId } from './job.ts';
import { createLoadReader } from './job-load.ts';
import { type LoadSignals, standardThrottle } from './throttle.ts';

const { db, url } = await openTestDatabase({ poolSize: 8 });
const cutter = await openCommitCutter(url);
const weak = createTestClient(cutter.url, { poolSize: 6 });
afterAll(async () => {
  await weak.close();
  await cutter.close();
});
const signal = stopAtEnd();
const here = { signal, whenStopped: 'release' } as const;

beforeEach(() => createNumbers(db, 1_000));

/** A run that stops in the middle of a batch until it is told to go on. */
function held(): { hooks: CountingHooks; reached: Promise<void>; goOn: () => void } {
  let reach = () => {};
  let goOn = () => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const apply = async (ids: readonly number[]) => {
    if (!ids.includes(500)) return;
    reach();
    await gate;
  };
  return { hooks: { apply }, reached, goOn: () => goOn() };
}

const failWith = (sqlstate: string) => async (tx: Transaction) => {
  await tx.run(dynamic(sql.raw(`do $$ begin raise exception 'as ordered' using errcode = '${sqlstate}'; end $$`)));
};

describe('a connection that is lost at a commit', () => {
  // Claim, begin, ranges, six batches of two ranges, two checkpoints that end them, the end; one more may come of a retry.
  const commits = Array.from({ length: 13 }, (_, n) => n);

  test.each(commits.flatMap((n) => [[n, 'before'] as const, [n, 'after'] as const]))(
    'number %i, %s the server took it: every row is done once',
    async (n, when) => {
      await createNumbers(db, 600);
      const jobs = createTestJobs(weak, { kinds: [countingKind({ begin: async () => {} })] });
      const runId = await startCounting(createTestJobs(db, { kinds: [countingKind()] }), { ranges: 2 });
      cutter.cutCommit(n, when);
      const run = await jobs.runHere(runId, here);
      expect(await countsOf(db)).toEqual({ 1: 600 });
      expect(run).toMatchObject({ state: 'done', doneRows: 600, counts: { counted: 600 }, fence: expect.any(Number) });
    },
  );

  test('the numbers above reach every commit of such a run', async () => {
    await createNumbers(db, 600);
    const jobs = createTestJobs(weak, { kinds: [countingKind()] });
    const runId = await startCounting(createTestJobs(db, { kinds: [countingKind()] }), { ranges: 2 });
    const before = cutter.commits();
    await jobs.runHere(runId, here);
    expect(cutter.commits() - before).toBeGreaterThanOrEqual(8);
    expect(cutter.commits() - before).toBeLessThanOrEqual(commits.length);
  });
});

test('a database that is away for a while is waited for with the reason shown, and every row is done once', async () => {
  const { hooks, reached, goOn } = held();
  const jobs = createTestJobs(weak, { kinds: [countingKind(hooks)] });
  const runId = await startCounting(jobs, { ranges: 2 });
  const reasons = new Set<string | null>();
  const running = jobs.runHere(runId, { ...here, onProgress: (run) => reasons.add(run.waitReason) });
  await reached;
  cutter.setAway(true);
  goOn();
  await until(() => reasons.has('the database does not answer'));
  cutter.setAway(false);
  const run = await running;
  expect(run).toMatchObject({ state: 'done', doneRows: 1_000, counts: { counted: 1_000 }, fence: 1 });
  expect(await countsOf(db)).toEqual({ 1: 1_000 });
});

test('a run that is stopped while the database is away ends all the same, and another process goes on', async () => {
  const { hooks, reached, goOn } = held();
  const stopper = new AbortController();
  const runId = await startCounting(createTestJobs(db, { kinds: [countingKind()] }));
  const running = createTestJobs(weak, { kinds: [countingKind(hooks)], pid: 1 }).runHere(runId, {
    signal: stopper.signal,
    whenStopped: 'pause',
  });
  const ended = expect(running).rejects.toMatchObject({ code: 'storage_unavailable' });
  await reached;
  cutter.setAway(true);
  stopper.abort();
  goOn();
  await ended;
  cutter.setAway(false);
  const run = await createTestJobs(db, { kinds: [countingKind()] }).runHere(runId, here);
  expect(run).toMatchObject({ state: 'done', replacedOwner: { pid: 1 } });
  expect(await countsOf(db)).toEqual({ 1: 1_000 });
});

describe('two processes', () => {
  test('that take the same run at once: one works, the other is told who', async () => {
    const [one, other] = [1, 2].map((pid) => createTestJobs(db, { kinds: [countingKind()], pid, host: 'h' })) as [
      ReturnType<typeof createTestJobs>,
      ReturnType<typeof createTestJobs>,
    ];
    const { hooks, reached, goOn } = held();
    const holding = createTestJobs(db, { kinds: [countingKind(hooks)], pid: 3, host: 'h' });
    const runId = await startCounting(one);
    const running = holding.runHere(runId, here);
    await reached;
    for (const jobs of [one, other])
      await expect(jobs.runHere(runId, here)).rejects.toMatchObject({
        code: 'job_held_elsewhere',
        facts: { host: 'h', pid: 3 },
      });
    goOn();
    expect((await running).state).toBe('done');

    const race = await startCounting(one);
    await createNumbers(db, 1_000);
    const results = await Promise.allSettled([one.runHere(race, here), other.runHere(race, here)]);
    expect(results.some(({ status }) => status === 'fulfilled')).toBe(true);
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('one pauses what the other runs: it stops after its batch, and goes on where it stopped', async () => {
    const { hooks, reached, goOn } = held();
    const operator = createTestJobs(db, { kinds: [countingKind()], pid: 2 });
    const runId = await startCounting(operator);
    const running = createTestJobs(db, { kinds: [countingKind(hooks)], pid: 1 }).runHere(runId, here);
    await reached;
    expect((await operator.pause(runId, 'me')).state).toBe('paused');
    goOn();
    const paused = await running;
    expect(paused).toMatchObject({ state: 'paused', owner: null, finishedAt: null });
    expect(paused.doneRows).toBeGreaterThanOrEqual(500);
    expect(paused.doneRows).toBeLessThan(1_000);
    expect(await countsOf(db)).toEqual({ 0: 1_000 - paused.doneRows, 1: paused.doneRows });
    await expect(operator.runHere(runId, here)).rejects.toMatchObject({ code: 'job_state_conflict' });
    await operator.resume(runId, 'me');
    const run = await operator.runHere(runId, here);
    expect(run).toMatchObject({ state: 'done', replacedOwner: null, fence: 2, counts: { counted: 1_000 } });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('one resumes at once what the other is just pausing: it waits until that has let go', async () => {
    const { hooks, reached, goOn } = held();
    const operator = createTestJobs(db, { kinds: [countingKind()], pid: 2 });
    const runId = await startCounting(operator);
    const running = createTestJobs(db, { kinds: [countingKind(hooks)], pid: 1 }).runHere(runId, here);
    await reached;
    await operator.pause(runId, 'me');
    await operator.resume(runId, 'me');
    const next = operator.runHere(runId, here);
    goOn();
    await running.catch(() => {});
    expect((await next).state).toBe('done');
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });
});

describe('a run whose fence somebody raised', () => {
  test('stops at once and commits nothing of its batch', async () => {
    const { hooks, reached, goOn } = held();
    const jobs = createTestJobs(db, { kinds: [countingKind(hooks)] });
    const runId = await startCounting(jobs);
    const running = jobs.runHere(runId, here);
    await reached;
    await db.query(
      dynamic(
        sql`update milliard_jobs.job_runs set fence = fence + 1, owner_pid = 77, owner_host = 'thief' where run_id = ${runId}`,
      ),
    );
    await db.query(dynamic(sql`update milliard_jobs.job_ranges set fence = fence + 1 where run_id = ${runId}`));
    const { doneRows } = await jobs.get(runId);
    goOn();
    await expect(running).rejects.toMatchObject({ code: 'job_held_elsewhere', facts: { host: 'thief', pid: 77 } });
    expect(await jobs.get(runId)).toMatchObject({ doneRows, state: 'running', owner: { pid: 77 } });
    expect(await countsOf(db)).toEqual({ 0: 1_000 - doneRows, 1: doneRows });
  });

  test('before its begin was committed begins nothing', async () => {
    let began = false;
    const jobs = createTestJobs(db, {
      kinds: [
        countingKind({
          begin: async (tx) => {
            if (began) return;
            began = true;
            await tx.run(dynamic(sql`update numbers set done = 9`));
            await db.query(dynamic(sql`update milliard_jobs.job_runs set fence = fence + 1`));
          },
        }),
      ],
    });
    await expect(jobs.runHere(await startCounting(jobs), here)).rejects.toMatchObject({ code: 'job_held_elsewhere' });
    expect(await countsOf(db)).toEqual({ 0: 1_000 });
  });
});

test('a lock whose session died is taken again, and the run goes on under the same fence', async () => {
  const { hooks, reached, goOn } = held();
  const jobs = createTestJobs(db, { kinds: [countingKind(hooks)] });
  const runId = await startCounting(jobs);
  const running = jobs.runHere(runId, here);
  await reached;
  const holder = () =>
    db.query(
      dynamic<{ pid: number }>(sql`select pid from pg_locks where locktype = 'advisory' and classid = 1835625065
        and database = (select oid from pg_database where datname = current_database())`),
    );
  const [before] = await holder();
  await db.query(dynamic(sql`select pg_terminate_backend(${before?.pid}::int)`));
  await until(async () => {
    const [now] = await holder();
    return now !== undefined && now.pid !== before?.pid;
  });
  goOn();
  expect(await running).toMatchObject({ state: 'done', fence: 1 });
  expect(await countsOf(db)).toEqual({ 1: 1_000 });
});

describe('rows that cannot be done', () => {
  test('are found, recorded and skipped; all others are done once', async () => {
    await poison(db, 1, 499, 1_000);
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const run = await jobs.runHere(await startCounting(jobs), here);
    expect(run).toMatchObject({ state: 'done', doneRows: 1_000, failedRows: 3, counts: { counted: 997 } });
    const errors = await jobs.errors(run.runId, { limit: 2, after: 0 });
    const more = await jobs.errors(run.runId, { limit: 2, after: errors.at(-1)?.position ?? 0 });
    expect([...errors, ...more].map(({ rowKey, code }) => `${rowKey} ${code}`)).toEqual([
      '1 23514',
      '499 23514',
      '1000 23514',
    ]);
    expect(errors[0]?.detail).toContain('not_poisoned');
    expect(await countsOf(db)).toEqual({ 0: 3, 1: 997 });
  });

  test('one too many fails the run before that row; resumed it tries it again, and allows as many once more', async () => {
    await poison(db, 10, 20, 30, 40, 50, 60);
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const runId = await startCounting(jobs);
    const failed = await jobs.runHere(runId, here);
    expect(failed).toMatchObject({ state: 'failed', failedRows: 3, doneRows: 39 });
    expect(failed.error).toMatch(/More than 3 rows failed, the last is 40: .*a resume goes on and allows 3 more/);
    expect((await jobs.errors(runId, { limit: 9, after: 0 })).map(({ rowKey }) => rowKey)).toEqual([
      '10',
      '20',
      '30',
      '40',
    ]);
    await db.query(dynamic(sql`update numbers set value = 1 where id = 40`));
    expect(await jobs.resume(runId, 'me')).toMatchObject({ state: 'queued', error: null });
    const run = await jobs.runHere(runId, here);
    expect(run).toMatchObject({ state: 'done', failedRows: 5, error: null });
    expect((await jobs.errors(runId, { limit: 9, after: 0 })).map(({ rowKey }) => rowKey)).toEqual([
      '10',
      '20',
      '30',
      '50',
      '60',
    ]);
    expect(await countsOf(db)).toEqual({ 0: 5, 1: 995 });
  });

  test('none is ever skipped where none may be', async () => {
    await poison(db, 123);
    const jobs = createTestJobs(db, { kinds: [countingKind({}, { maxRowErrors: 0 })] });
    const runId = await startCounting(jobs);
    for (let i = 0; i < 2; i++) {
      expect(await jobs.runHere(runId, here)).toMatchObject({
        state: 'failed',
        doneRows: 122,
        error: expect.stringContaining('Row 123 cannot be done'),
      });
      await jobs.resume(runId, 'me');
    }
    await db.query(dynamic(sql`update numbers set value = 1`));
    expect((await jobs.runHere(runId, here)).state).toBe('done');
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('are found in ranges that run at the same time', async () => {
    await poison(db, 100, 600);
    const jobs = createTestJobs(db, { kinds: [countingKind()], parallelRanges: 4 });
    const run = await jobs.runHere(await startCounting(jobs, { ranges: 5 }), here);
    expect(run).toMatchObject({ state: 'done', failedRows: 2, doneRows: 1_000 });
    expect(await countsOf(db)).toEqual({ 0: 2, 1: 998 });
  });
});

describe('a fault that is no row’s', () => {
  test('of a full disk is tried again some times, then the run fails and can be resumed', async () => {
    let isFull = true;
    let tries = 0;
    const full = failWith('53100');
    const jobs = createTestJobs(db, {
      kinds: [
        countingKind({
          apply: async (ids, tx) => {
            if (!isFull || !ids.includes(500)) return;
            tries++;
            await full(tx);
          },
        }),
      ],
    });
    const runId = await startCounting(jobs);
    const failed = await jobs.runHere(runId, here);
    expect(failed).toMatchObject({
      state: 'failed',
      failedRows: 0,
      error: expect.stringContaining('Free space, then resume'),
    });
    expect(tries).toBe(3);
    expect(failed.retries).toBe(2);
    isFull = false;
    await jobs.resume(runId, 'me');
    expect((await jobs.runHere(runId, here)).state).toBe('done');
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test.each(['40P01', '40001', '55P03'])('%s is tried again until it passes, and counted', async (sqlstate) => {
    let left = 8;
    const busy = failWith(sqlstate);
    const jobs = createTestJobs(db, {
      kinds: [countingKind({ apply: async (ids, tx) => (ids.includes(500) && left-- > 0 ? busy(tx) : undefined) })],
    });
    const run = await jobs.runHere(await startCounting(jobs), here);
    expect(run).toMatchObject({ state: 'done', retries: 8, failedRows: 0 });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('a row that somebody else has locked is waited for, with the reason shown', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const runId = await startCounting(jobs);
    const reasons: (string | null)[] = [];
    let running: Promise<JobRun> | null = null;
    await db.transaction(async (tx) => {
      await tx.run(dynamic(sql`select from numbers where id = 500 for update`));
      running = jobs.runHere(runId, { ...here, onProgress: ({ waitReason }) => reasons.push(waitReason) });
      await until(() => reasons.some((reason) => reason?.startsWith('the rows are locked') === true));
    });
    expect(await running).toMatchObject({ state: 'done', waitReason: null });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('a batch that takes too long is made smaller', async () => {
    const tooLong = failWith('57014');
    const jobs = createTestJobs(db, {
      kinds: [countingKind({ apply: async (ids, tx) => (ids.length > 60 ? tooLong(tx) : undefined) })],
    });
    const run = await jobs.runHere(await startCounting(jobs), here);
    expect(run.retries).toBeGreaterThan(0);
    expect(run).toMatchObject({ state: 'done', failedRows: 0 });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('a bug fails the run at once, with its message', async () => {
    const broken = async () => {
      throw new TypeError('x is not a function');
    };
    for (const hooks of [
      { apply: broken },
      { plan: broken },
      { finish: broken },
      { total: broken },
      { begin: broken },
    ]) {
      const jobs = createTestJobs(db, { kinds: [countingKind(hooks)] });
      const run = await jobs.runHere(await startCounting(jobs), here);
      expect(run).toMatchObject({ state: 'failed', error: 'x is not a function', retries: 0 });
    }
  });
});

describe('a process that is to stop', () => {
  test.each([
    ['pause', 'paused'],
    ['release', 'queued'],
  ] as const)('finishes its batch and leaves the run for a %s', async (whenStopped, state) => {
    const { hooks, reached, goOn } = held();
    const stopper = new AbortController();
    const jobs = createTestJobs(db, { kinds: [countingKind(hooks)] });
    const runId = await startCounting(jobs);
    const running = jobs.runHere(runId, { signal: stopper.signal, whenStopped });
    await reached;
    stopper.abort();
    goOn();
    const run = await running;
    expect(run).toMatchObject({ state, owner: null, error: null });
    expect(run.doneRows).toBeGreaterThanOrEqual(500);
    expect(await countsOf(db)).toEqual({ 0: 1_000 - run.doneRows, 1: run.doneRows });
    if (state === 'paused') await jobs.resume(runId, 'me');
    expect(await jobs.runHere(runId, here)).toMatchObject({ state: 'done', replacedOwner: null, doneRows: 1_000 });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('lets go of its files, whatever the end was', async () => {
    let closed = 0;
    const close = async () => void closed++;
    const jobs = createTestJobs(db, { kinds: [countingKind({ close })] });
    await jobs.runHere(await startCounting(jobs), here);
    await jobs.runHere(await startCounting(jobs), { signal: AbortSignal.abort(), whenStopped: 'pause' });
    expect(closed).toBeGreaterThanOrEqual(1);
  });
});

describe('cancelling', () => {
  test('a run at work stops it after its batch and tidies up', async () => {
    const { hooks, reached, goOn } = held();
    let tidied = 0;
    const cancel = async () => void tidied++;
    const jobs = createTestJobs(db, { kinds: [countingKind({ ...hooks, cancel })] });
    const runId = await startCounting(jobs);
    const running = jobs.runHere(runId, here);
    await reached;
    expect((await createTestJobs(db, { kinds: [countingKind()], pid: 2 }).cancel(runId, 'me')).state).toBe(
      'cancelling',
    );
    goOn();
    const run = await running;
    expect(run).toMatchObject({ state: 'cancelled', owner: null });
    expect(run.doneRows).toBeLessThan(1_000);
    expect(tidied).toBe(1);
  });

  test('a run that has not begun ends it at once', async () => {
    let tidied = 0;
    const jobs = createTestJobs(db, { kinds: [countingKind({ cancel: async () => void tidied++ })] });
    expect((await jobs.cancel(await startCounting(jobs), 'me')).state).toBe('cancelled');
    expect(tidied).toBe(0);
  });

  test('a paused run tidies up there and then', async () => {
    let tidied = 0;
    const jobs = createTestJobs(db, { kinds: [countingKind({ cancel: async () => void tidied++ })] });
    const runId = await pausedRun(jobs);
    expect((await jobs.cancel(runId, 'me')).state).toBe('cancelled');
    expect(tidied).toBe(1);
  });

  test('that cannot tidy up fails, and can be cancelled again', async () => {
    let isStuck = true;
    const cancel = async () => {
      if (isStuck) throw new Error('the folder is read-only');
    };
    const jobs = createTestJobs(db, { kinds: [countingKind({ cancel })] });
    const runId = await pausedRun(jobs);
    expect(await jobs.cancel(runId, 'me')).toMatchObject({
      state: 'failed',
      error: 'Cancelling failed: the folder is read-only. Cancel again when the cause is mended.',
    });
    isStuck = false;
    expect(await jobs.cancel(runId, 'me')).toMatchObject({ state: 'cancelled', error: null });
  });

  async function pausedRun(jobs: ReturnType<typeof createTestJobs>): Promise<RunId> {
    const { hooks, reached, goOn } = held();
    const stopper = new AbortController();
    const runId = await startCounting(jobs);
    const running = createTestJobs(db, { kinds: [countingKind(hooks)] }).runHere(runId, {
      signal: stopper.signal,
      whenStopped: 'pause',
    });
    await reached;
    stopper.abort();
    goOn();
    await running;
    return runId;
  }
});

describe('the proof at the end', () => {
  test('may find more to do, several times, and wait', async () => {
    let asked = 0;
    const reasons = new Set<string | null>();
    const kind = countingKind({
      finish: async () => {
        asked++;
        if (asked === 1) {
          await db.query(dynamic(sql`insert into numbers (id) select generate_series(1001, 1100)`));
          return { kind: 'again', from: 1_000, reason: 'new rows came' };
        }
        return asked === 2 ? { kind: 'wait', reason: 'an older transaction is open', retryAfterMs: 600 } : null;
      },
    });
    const jobs = createTestJobs(db, { kinds: [kind] });
    const run = await jobs.runHere(await startCounting(jobs), {
      ...here,
      onProgress: (r) => reasons.add(r.waitReason),
    });
    expect(run).toMatchObject({ state: 'done', doneRows: 1_100, total: { rows: 1_100 }, waitReason: null });
    expect(await countsOf(db)).toEqual({ 1: 1_100 });
    expect(reasons).toContain('an older transaction is open');
    expect(asked).toBe(3);
  });

  test('that does not hold fails the run with its figures; a resume proves again', async () => {
    let holds = false;
    const kind = countingKind({
      finish: async () => (holds ? null : { kind: 'failed', message: '3 rows were left out.', result: { left: 3 } }),
    });
    const jobs = createTestJobs(db, { kinds: [kind] });
    const runId = await startCounting(jobs);
    expect(await jobs.runHere(runId, here)).toMatchObject({
      state: 'failed',
      error: '3 rows were left out.',
      result: { left: 3 },
    });
    holds = true;
    await jobs.resume(runId, 'me');
    expect(await jobs.runHere(runId, here)).toMatchObject({ state: 'done', result: { left: 0 }, error: null });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });
});

test('ranges are worked at at the same time, no more of them than allowed', async () => {
  let inside = 0;
  let most = 0;
  const kind = countingKind({
    apply: async () => {
      most = Math.max(most, ++inside);
      // Nobody goes on before as many are inside as may be.
      await until(() => most >= 3);
      inside--;
    },
  });
  const jobs = createTestJobs(db, { kinds: [kind], parallelRanges: 3 });
  const run = await jobs.runHere(await startCounting(jobs, { ranges: 7 }), here);
  expect(run).toMatchObject({ state: 'done', doneRows: 1_000 });
  expect(await countsOf(db)).toEqual({ 1: 1_000 });
  expect(most).toBe(3);
});

describe('a speed limit', () => {
  test('holds a run with the reason shown, and can be taken away while it runs', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const runId = await startCounting(jobs, {}, { rowsPerSecond: 20 });
    const reasons = new Set<string | null>();
    const running = jobs.runHere(runId, { ...here, onProgress: (run) => reasons.add(run.waitReason) });
    await until(() => reasons.has('held to 20 rows/s'));
    await until(async () => (await jobs.get(runId)).waitReason === 'held to 20 rows/s');
    const changed = await jobs.setThrottle(runId, { rowsPerSecond: null }, 'me');
    expect(changed.throttle).toMatchObject({ rowsPerSecond: null, yieldsToVacuum: false });
    const run = await running;
    expect(run.state).toBe('done');
    expect(run.throttledMs).toBeGreaterThan(0);
    expect(run.throttledMs).toBeLessThanOrEqual(run.activeMs);
  });
});

test('a vacuum of the table is given way to, with the reason shown', async () => {
  await createNumbers(db, 20_000);
  await db.query(dynamic(sql`update numbers set value = 2`));
  const jobs = createTestJobs(db, { kinds: [countingKind()] });
  const runId = await startCounting(jobs, {}, { yieldsToVacuum: true, rowsPerSecond: 100 });
  const running = jobs.runHere(runId, here);
  const vacuum = db.session(async (session) => {
    await session.script('set vacuum_cost_delay = 100; set vacuum_cost_limit = 1');
    await session.script('vacuum numbers');
  });
  const ended = vacuum.catch(() => 'ended');
  await until(async () => (await jobs.get(runId)).waitReason === 'table numbers is being vacuumed');
  await db.query(dynamic(sql`select pg_terminate_backend(pid) from pg_stat_activity where query = 'vacuum numbers'`));
  await ended;
  await until(async () => (await jobs.get(runId)).waitReason !== 'table numbers is being vacuumed');
  await jobs.setThrottle(runId, { rowsPerSecond: null }, 'me');
  expect((await running).state).toBe('done');
  expect(await countsOf(db)).toEqual({ 1: 20_000 });
});

test('a watcher that fails does not harm the run', async () => {
  const jobs = createTestJobs(db, { kinds: [countingKind()] });
  const runId = await startCounting(jobs);
  let calls = 0;
  const onProgress = () => {
    if (calls++ === 0) throw new Error('EPIPE');
  };
  expect((await jobs.runHere(runId, { ...here, onProgress })).state).toBe('done');
  expect(calls).toBeGreaterThan(0);
});

test('the load of the database can be seen by this user, or says that it cannot', async () => {
  const lines: string[] = [];
  const load = createLoadReader({
    db,
    logger: { ...silentLogger, debug: (_fields, message) => void lines.push(message) },
    tables: ['numbers', 'public.orders', 'no.such'],
  });
  const seen: LoadSignals[] = [];
  const gate = { throttle: () => standardThrottle, setLoad: (signals: LoadSignals) => void seen.push(signals) };
  await load.refresh({ gate });
  expect(lines).toEqual([]);
  // The tests' servers have neither a replica nor an archive.
  expect(seen).toEqual([{ replica: null, archiveBacklogSegments: null, vacuum: null }]);
});

test.each(['before', 'after'] as const)(
  'a start whose connection is lost %s its commit makes one run',
  async (when) => {
    const jobs = createTestJobs(weak, { kinds: [countingKind()] });
    const count = async () =>
      Number((await db.query(dynamic<{ n: bigint }>(sql`select count(*) as n from milliard_jobs.job_runs`)))[0]?.n);
    const before = await count();
    cutter.cutNextCommit(when);
    const { run, replayed } = await jobs.start('test.count', {}, { actor: 'me' });
    expect(replayed).toBe(false);
    expect(run.state).toBe('queued');
    expect(await count()).toBe(before + 1);
  },
);
