import { beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../storage/migrator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import {
  countingKind,
  countsOf,
  createNumbers,
  createTestJobs,
  noThrottle,
  poison,
  startCounting,
  stopAtEnd,
} from '../testing/test-jobs.ts';
import type { JobRun, Json, RunId } from './job.ts';
import { jobRefused } from './job-errors.ts';
import { writeHeartbeat } from './job-range-queries.ts';
import { ensureJobTables } from './job-tables.ts';

const { db } = await openTestDatabase({ poolSize: 8 });
const signal = stopAtEnd();
const here = { signal, whenStopped: 'release' } as const;

beforeEach(() => createNumbers(db, 1_000));

describe('a run', () => {
  test('does every row once and keeps its result', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const seen: JobRun[] = [];
    const runId = await startCounting(jobs);
    const run = await jobs.runHere(runId, { ...here, onProgress: (r) => seen.push(r) });
    expect(run).toMatchObject({
      state: 'done',
      doneRows: 1_000,
      failedRows: 0,
      counts: { counted: 1_000 },
      total: { rows: 1_000, precision: 'exact' },
      result: { left: 0 },
      owner: null,
      waitReason: null,
      remainingMs: null,
      fence: 1,
    });
    expect(run.finishedAt ?? 0).toBeGreaterThanOrEqual(run.startedAt ?? Number.NaN);
    expect(seen.at(-1)).toEqual(run);
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('is as it ended, though a heartbeat that was under way comes after', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const run = await jobs.runHere(await startCounting(jobs), here);
    const { batchRows, retries, rateNow, rateMean, activeMs, throttledMs } = run;
    const late = { batchRows, retries, rateNow, rateMean, activeMs, throttledMs, remainingMs: 7, waitReason: 'late' };
    await db.query(writeHeartbeat(run.runId, run.fence, late));
    expect(await jobs.get(run.runId)).toMatchObject({ state: 'done', remainingMs: null, waitReason: null });
  });

  test('over nothing at all is done', async () => {
    await createNumbers(db, 0);
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const run = await jobs.runHere(await startCounting(jobs), here);
    expect(run).toMatchObject({ state: 'done', doneRows: 0, total: { rows: 0 } });
  });

  test('that is done takes no event any more', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const runId = await startCounting(jobs);
    await jobs.runHere(runId, here);
    for (const event of ['pause', 'resume', 'cancel'] as const)
      await expect(jobs[event](runId, 'me')).rejects.toMatchObject({
        code: 'job_state_conflict',
        facts: { state: 'done', allowed: [] },
      });
    await expect(jobs.runHere(runId, here)).rejects.toMatchObject({ code: 'job_state_conflict' });
    await expect(jobs.setThrottle(runId, { rowsPerSecond: 5 }, 'me')).rejects.toMatchObject({
      code: 'job_state_conflict',
    });
  });

  test('shows more rows than were expected as its total', async () => {
    const kind = countingKind({ total: async () => ({ rows: 10, precision: 'estimate' }) });
    const jobs = createTestJobs(db, { kinds: [kind] });
    const run = await jobs.runHere(await startCounting(jobs), here);
    expect(run.total).toEqual({ rows: 1_000, precision: 'estimate' });
  });
});

describe('a start', () => {
  test('with the key of an unfinished run finds that run, whoever starts it; after its end a new one', async () => {
    const [one, other] = [
      createTestJobs(db, { kinds: [countingKind()] }),
      createTestJobs(db, { kinds: [countingKind()] }),
    ];
    const starts = await Promise.all(
      [one, other, one, other].map((jobs) => jobs.start('test.count', { key: 'a' }, { actor: 'me' })),
    );
    expect(new Set(starts.map(({ run }) => run.runId)).size).toBe(1);
    expect(starts.filter(({ replayed }) => !replayed)).toHaveLength(1);
    const runId = starts[0]?.run.runId as RunId;
    await one.pause(runId, 'me');
    const paused = await one.start('test.count', { key: 'a' }, { actor: 'me' });
    expect(paused).toMatchObject({ replayed: true, run: { runId, state: 'paused' } });
    await one.resume(runId, 'me');
    await one.runHere(runId, here);
    expect(await one.start('test.count', { key: 'a' }, { actor: 'me' })).toMatchObject({ replayed: false });
  });

  test('without a key is a new run each time', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    expect(await startCounting(jobs)).not.toBe(await startCounting(jobs));
  });

  test('with wrong parameters names each fault, and stores nothing', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const before = (await allRuns(jobs)).length;
    await expect(jobs.start('test.count', { ranges: 0, other: 1 }, { actor: 'me' })).rejects.toMatchObject({
      code: 'invalid_input',
      errors: [{ pointer: '/ranges' }, { pointer: '/other', code: 'unknown_field' }],
    });
    await expect(jobs.start('no.such', {}, { actor: 'me' })).rejects.toMatchObject({ code: 'job_kind_unknown' });
    await expect(jobs.start('test.count', {}, { actor: 'me', throttle: { rowsPerSecond: -1 } })).rejects.toMatchObject({
      code: 'invalid_input',
    });
    expect((await allRuns(jobs)).length).toBe(before);
  });

  test('that the kind refuses stores nothing', async () => {
    const refusing = countingKind(
      {},
      {
        check: async () => {
          throw jobRefused('The table has no primary key.');
        },
      },
    );
    const jobs = createTestJobs(db, { kinds: [refusing] });
    const before = (await allRuns(jobs)).length;
    await expect(startCounting(jobs)).rejects.toMatchObject({ code: 'job_refused' });
    await expect(jobs.rehearse('test.count', {}, { batches: 1, actor: 'me' })).rejects.toMatchObject({
      code: 'job_refused',
    });
    expect((await allRuns(jobs)).length).toBe(before);
  });

  test('of a kind that needs its own machine is run on no other', async () => {
    const kinds = [countingKind({}, { runsOn: 'same host' })];
    const [home, abroad] = [createTestJobs(db, { kinds, host: 'home' }), createTestJobs(db, { kinds, host: 'abroad' })];
    const runId = await startCounting(home);
    await expect(abroad.runHere(runId, here)).rejects.toMatchObject({ code: 'job_not_startable_here' });
    expect((await home.get(runId)).state).toBe('queued');
    expect((await home.runHere(runId, here)).state).toBe('done');
  });
});

describe('what is asked about runs', () => {
  test('an unknown run is not found, and a text that is no id neither', async () => {
    const jobs = createTestJobs(db, { kinds: [] });
    for (const runId of ['0197a9a0-0000-7000-8000-000000000000', "'; drop table x", ''])
      await expect(jobs.get(runId as RunId)).rejects.toMatchObject({ code: 'job_not_found' });
  });

  test('they are listed newest first, by state and kind, page by page', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind(), countingKind({}, { name: 'test.other' })] });
    const first = await startCounting(jobs);
    const second = await startCounting(jobs);
    const { run: other } = await jobs.start('test.other', {}, { actor: 'me' });
    await jobs.pause(second, 'me');
    const filter = { states: ['queued', 'paused'], kind: 'test.count', limit: 1, after: null } as const;
    const [newest] = await jobs.list(filter);
    expect(newest?.runId).toBe(second);
    expect((await jobs.list({ ...filter, after: second }))[0]?.runId).toBe(first);
    expect((await jobs.list({ ...filter, states: ['queued'] }))[0]?.runId).toBe(first);
    expect((await jobs.list({ ...filter, kind: 'test.other' }))[0]?.runId).toBe(other.runId);
    const everyState = await jobs.list({ ...filter, states: [], limit: 2 });
    expect(everyState.map(({ runId }) => runId)).toEqual([second, first]);
  });

  test('unfinished runs are counted by kind and state, with the oldest sign of life of those that are worked at', async () => {
    const name = 'test.counted';
    const jobs = createTestJobs(db, { kinds: [countingKind({}, { name })] });
    const startOne = async () => (await jobs.start(name, {}, { actor: 'me', throttle: noThrottle })).run.runId;
    const [first, second] = [await startOne(), await startOne(), await startOne()] as const;
    await jobs.pause(await startOne(), 'me');
    await jobs.cancel(await startOne(), 'me');
    await jobs.runHere(await startOne(), here);
    await db.query(
      dynamic(sql`update milliard_jobs.job_runs set state = 'running',
        heartbeat_at = now() - case when run_id = ${first} then interval '100 seconds' else interval '1 second' end
        where run_id in (${first}, ${second})`),
    );
    const counted = (await jobs.unfinished()).filter(({ kind }) => kind === name);
    const byState = new Map(counted.map((each) => [each.state, each]));
    expect([...byState.keys()].sort()).toEqual(['paused', 'queued', 'running']);
    expect(byState.get('queued')).toMatchObject({ runs: 1, oldestHeartbeatMs: null });
    expect(byState.get('paused')).toMatchObject({ runs: 1, oldestHeartbeatMs: null });
    expect(byState.get('running')).toMatchObject({ runs: 2 });
    expect(byState.get('running')?.oldestHeartbeatMs).toBeGreaterThanOrEqual(100_000);
    await db.query(dynamic(sql`delete from milliard_jobs.job_runs where kind = ${name}`));
  });

  test('watching tells each change until the end', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const runId = await startCounting(jobs);
    const states: string[] = [];
    const watching = (async () => {
      for await (const { state, doneRows } of jobs.watch(runId, signal)) states.push(`${state} ${doneRows}`);
    })();
    await jobs.runHere(runId, here);
    await watching;
    expect(states.at(-1)).toBe('done 1000');
  });

  test('watching ends when its signal says so', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const runId = await startCounting(jobs);
    const stopper = new AbortController();
    for await (const run of jobs.watch(runId, stopper.signal)) {
      expect(run.state).toBe('queued');
      stopper.abort();
    }
  });
});

test('the audit log says who did what to a run', async () => {
  const jobs = createTestJobs(db, { kinds: [countingKind()], host: 'h', pid: 7 });
  const { run } = await jobs.start('test.count', { key: 'audited' }, { actor: 'ann', throttle: noThrottle });
  await jobs.pause(run.runId, 'bob');
  await jobs.resume(run.runId, 'cy');
  await jobs.setThrottle(run.runId, { rowsPerSecond: 1_000_000 }, 'di');
  await jobs.runHere(run.runId, here);
  const { run: second } = await jobs.start('test.count', {}, { actor: 'ann' });
  await jobs.cancel(second.runId, 'eve');
  const entries = await db.query(
    dynamic<{ actor: string; action: string; facts: Json }>(sql`select actor, action, facts from audit_log
      where subject in (${run.runId}, ${second.runId}) order by recorded_at, action`),
  );
  expect(entries.map(({ actor, action }) => `${actor} ${action}`)).toEqual([
    'ann job.start',
    'bob job.pause',
    'cy job.resume',
    'di job.set',
    'ann job.finish',
    'ann job.start',
    'eve job.cancel',
  ]);
  expect(entries.find(({ action }) => action === 'job.finish')?.facts).toMatchObject({
    kind: 'test.count',
    state: 'done',
    owner: { host: 'h', pid: 7 },
  });
});

describe('a database that Milliard does not migrate', () => {
  test('gets the tables once, whoever asks at the same time, and runs jobs without an audit log', async () => {
    await using foreign = await createTestDatabase({ migrated: false });
    const client = createTestClient(foreign.url);
    try {
      await Promise.all([1, 2, 3].map(() => ensureJobTables(client)));
      await ensureJobTables(client);
      // An audit log of somebody else's: it is left alone.
      await client.query(
        dynamic(sql`create table audit_log (actor text, action text, subject text, facts jsonb, audit_id integer)`),
      );
      await createNumbers(client, 250);
      const jobs = createTestJobs(client, { kinds: [countingKind()] });
      const run = await jobs.runHere(await startCounting(jobs), here);
      expect(run.state).toBe('done');
      expect(await client.query(dynamic(sql`select from audit_log`))).toEqual([]);
    } finally {
      await client.close();
    }
  });

  test('can be migrated afterwards', async () => {
    await using foreign = await createTestDatabase({ migrated: false });
    const client = createTestClient(foreign.url);
    await ensureJobTables(client);
    await client.close();
    expect(await migrate({ url: foreign.url })).toContain('0003_jobs');
  });
});

describe('a rehearsal', () => {
  test('leaves nothing behind and foretells the whole', async () => {
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    const before = (await allRuns(jobs)).length;
    const forecast = await jobs.rehearse('test.count', {}, { batches: 3, actor: 'me' });
    expect(forecast).toMatchObject({ sampledBatches: 3, total: { rows: 1_000, precision: 'exact' } });
    expect(forecast.sampledRows).toBeGreaterThanOrEqual(300);
    // New versions of 300 rows fill pages of their own.
    expect(forecast.total?.diskBytes).toBeGreaterThan(0);
    // An update writes at least the row.
    expect(forecast.total?.walBytes).toBeGreaterThan(1_000 * 40);
    expect(await countsOf(db)).toEqual({ 0: 1_000 });
    expect((await allRuns(jobs)).length).toBe(before);
  });

  test('goes on behind a row that cannot be done, and counts its batch', async () => {
    await poison(db, 150);
    const jobs = createTestJobs(db, { kinds: [countingKind()] });
    expect(await jobs.rehearse('test.count', {}, { batches: 3, actor: 'me' })).toMatchObject({
      sampledBatches: 3,
      failedBatches: 1,
    });
  });

  test('foretells no time where nothing could be sampled or nobody knows the total', async () => {
    const unknown = countingKind({ total: async () => null });
    expect(
      (await createTestJobs(db, { kinds: [unknown] }).rehearse('test.count', {}, { batches: 2, actor: 'me' })).total,
    ).toBeNull();
    await createNumbers(db, 0);
    const more = countingKind({ total: async () => ({ rows: 5, precision: 'estimate' }) });
    expect(
      (await createTestJobs(db, { kinds: [more] }).rehearse('test.count', {}, { batches: 2, actor: 'me' })).total,
    ).toBeNull();
  });
});

const allRuns = (jobs: ReturnType<typeof createTestJobs>) =>
  jobs.list({
    states: ['queued', 'running', 'paused', 'failed', 'done', 'cancelled', 'cancelling'],
    kind: null,
    limit: 500,
    after: null,
  });
