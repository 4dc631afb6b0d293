import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { Logger } from '../core/ports.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openCommitCutter } from '../testing/commit-cutter.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import {
  countingKind,
  countsOf,
  createNumbers,
  createTestJobs,
  noThrottle,
  startCounting,
  stopAtEnd,
  until,
} from '../testing/test-jobs.ts';
import type { JobState, RunId } from './job.ts';
import type { Jobs } from './jobs.ts';

const { db, url } = await openTestDatabase({ poolSize: 12 });
const cutter = await openCommitCutter(url);
const weak = createTestClient(cutter.url);
afterAll(async () => {
  await weak.close();
  await cutter.close();
});
const signal = stopAtEnd();

beforeEach(() => createNumbers(db, 1_000));

const kinds = [countingKind()];

const untilState = (jobs: Jobs, runId: RunId, state: JobState) =>
  until(async () => (await jobs.get(runId)).state === state);

/** A server until the end of `work`. */
async function serving<T>(jobs: Jobs, work: () => Promise<T>): Promise<T> {
  const stopper = new AbortController();
  const served = jobs.serve({ signal: stopper.signal, concurrency: 2 });
  try {
    return await work();
  } finally {
    stopper.abort();
    await served;
  }
}

const collecting = (lines: string[]): Logger => ({
  debug() {},
  info: (_fields, message) => void lines.push(message),
  warn: (_fields, message) => void lines.push(message),
  error: (_fields, message) => void lines.push(message),
});

/** A batch in the middle waits until it may go on. */
function blocked() {
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reached = false;
  const apply = async (ids: readonly number[]) => {
    if (!ids.includes(500)) return;
    reached = true;
    await gate;
  };
  return { hooks: { apply }, reached: () => until(() => reached), release: () => release() };
}

describe('a server', () => {
  test('does queued runs, of which it takes so many at once', async () => {
    const jobs = createTestJobs(db, { kinds });
    await serving(jobs, async () => {
      const started = await Promise.all([1, 2, 3, 4].map(() => startCounting(jobs)));
      for (const runId of started) await untilState(jobs, runId, 'done');
    });
    expect(await countsOf(db)).toEqual({ 4: 1_000 });
  });

  test('shares the runs with others: none is done twice', async () => {
    const [one, other] = [createTestJobs(db, { kinds, pid: 1 }), createTestJobs(db, { kinds, pid: 2 })] as const;
    await serving(one, () =>
      serving(other, async () => {
        const started = await Promise.all([1, 2, 3, 4, 5].map(() => startCounting(one)));
        for (const runId of started) await untilState(one, runId, 'done');
      }),
    );
    expect(await countsOf(db)).toEqual({ 5: 1_000 });
  });

  test('leaves a run that was just started to who started it, unless it is for the servers', async () => {
    const jobs = createTestJobs(db, { kinds, timing: { reservedMs: 600_000, pollMs: 5 } });
    await serving(jobs, async () => {
      const { run: mine } = await jobs.start('test.count', {}, { actor: 'me', throttle: noThrottle });
      const { run: theirs } = await jobs.start('test.count', {}, { actor: 'me', throttle: noThrottle, detached: true });
      await untilState(jobs, theirs.runId, 'done');
      expect((await jobs.get(mine.runId)).state).toBe('queued');
      expect((await jobs.runHere(mine.runId, { signal, whenStopped: 'pause' })).state).toBe('done');
    });
  });

  test('leaves kinds alone that it does not know, or that need another machine', async () => {
    const home = createTestJobs(db, {
      kinds: [countingKind({}, { name: 'test.file', runsOn: 'same host' }), countingKind({}, { name: 'test.new' })],
      host: 'home',
    });
    const file = (await home.start('test.file', {}, { actor: 'me' })).run.runId;
    const unknown = (await home.start('test.new', {}, { actor: 'me' })).run.runId;
    const abroad = createTestJobs(db, {
      kinds: [countingKind({}, { name: 'test.file', runsOn: 'same host' }), ...kinds],
      host: 'abroad',
    });
    await serving(abroad, async () => untilState(abroad, await startCounting(abroad), 'done'));
    expect((await home.get(file)).state).toBe('queued');
    expect((await home.get(unknown)).state).toBe('queued');
    await serving(home, () => Promise.all([untilState(home, file, 'done'), untilState(home, unknown, 'done')]));
  });

  test('that stops finishes its batch and gives its runs back', async () => {
    const { hooks, reached, release } = blocked();
    const jobs = createTestJobs(db, { kinds: [countingKind(hooks)] });
    const runId = await startCounting(jobs);
    const stopper = new AbortController();
    const served = jobs.serve({ signal: stopper.signal, concurrency: 1 });
    await reached();
    stopper.abort();
    release();
    await served;
    expect(await jobs.get(runId)).toMatchObject({ state: 'queued', owner: null });
    const next = createTestJobs(db, { kinds, pid: 2 });
    await serving(next, () => untilState(next, runId, 'done'));
    expect(await next.get(runId)).toMatchObject({ replacedOwner: null, doneRows: 1_000 });
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('deletes runs that were over long ago, once it looks', async () => {
    const jobs = createTestJobs(db, { kinds });
    const runId = await startCounting(jobs);
    await jobs.runHere(runId, { signal, whenStopped: 'release' });
    await db.query(
      dynamic(sql`update milliard_jobs.job_runs set finished_at = now() - interval '91 days' where run_id = ${runId}`),
    );
    await serving(jobs, () =>
      until(() =>
        jobs.get(runId).then(
          () => false,
          () => true,
        ),
      ),
    );
    await expect(jobs.get(runId)).rejects.toMatchObject({ code: 'job_not_found' });
  });

  test('tidies up a cancelled run that nobody holds', async () => {
    let tidied = 0;
    const jobs = createTestJobs(db, { kinds: [countingKind({ cancel: async () => void tidied++ })] });
    const runId = await startCounting(jobs);
    await db.query(
      dynamic(sql`update milliard_jobs.job_runs set state = 'cancelling', begun_at = now() where run_id = ${runId}`),
    );
    await serving(jobs, () => untilState(jobs, runId, 'cancelled'));
    expect(tidied).toBe(1);
  });
});

describe('an orphan', () => {
  test('of a process that died is taken over by a server, which says whom it replaces', async () => {
    const { hooks, reached, release } = blocked();
    const dying = createTestJobs(weak, { kinds: [countingKind(hooks)], host: 'old', pid: 11 });
    const runId = await startCounting(createTestJobs(db, { kinds }));
    const running = dying.runHere(runId, { signal, whenStopped: 'pause' });
    const lost = expect(running).rejects.toMatchObject({ code: 'job_held_elsewhere' });
    await reached();
    cutter.setAway(true);
    const lines: string[] = [];
    const jobs = createTestJobs(db, { kinds, host: 'new', pid: 22, logger: collecting(lines) });
    await serving(jobs, () => untilState(jobs, runId, 'done'));
    expect(await jobs.get(runId)).toMatchObject({ replacedOwner: { host: 'old', pid: 11 }, fence: 2, doneRows: 1_000 });
    expect(lines.join('\n')).toContain('takes the run over from process 11 on old');
    const audited = await db.query(
      dynamic<{ facts: object }>(
        sql`select facts from audit_log where subject = ${runId} and action in ('job.takeover', 'job.finish') order by recorded_at`,
      ),
    );
    expect(audited.map(({ facts }) => facts)).toEqual([
      { kind: 'test.count', owner: { host: 'new', pid: 22 }, replaced_owner: { host: 'old', pid: 11 } },
      expect.objectContaining({ state: 'done', owner: { host: 'new', pid: 22 } }),
    ]);
    cutter.setAway(false);
    release();
    await lost;
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('whose owner is alive and hangs is taken over once it has been silent; what it then does is refused', async () => {
    const { hooks, reached, release } = blocked();
    const hanging = createTestJobs(db, {
      kinds: [countingKind(hooks)],
      pid: 11,
      host: 'h',
      timing: { heartbeatMs: 1e8 },
    });
    const runId = await startCounting(hanging);
    const running = hanging.runHere(runId, { signal, whenStopped: 'pause' });
    const lost = expect(running).rejects.toMatchObject({ code: 'job_held_elsewhere' });
    await reached();

    const patient = createTestJobs(db, { kinds, pid: 22, host: 'h' });
    await expect(patient.runHere(runId, { signal, whenStopped: 'pause' })).rejects.toMatchObject({
      code: 'job_held_elsewhere',
      facts: { pid: 11 },
    });
    const jobs = createTestJobs(db, { kinds, pid: 33, host: 'h', timing: { silentMs: 200 } });
    await until(async () => {
      const run = await jobs.runHere(runId, { signal, whenStopped: 'pause' }).catch(() => null);
      return run?.state === 'done';
    });
    expect(await jobs.get(runId)).toMatchObject({ replacedOwner: { pid: 11 }, doneRows: 1_000, fence: 2 });
    release();
    await lost;
    expect(await countsOf(db)).toEqual({ 1: 1_000 });
  });

  test('is not one while its owner lives, however long a batch takes', async () => {
    const { hooks, reached, release } = blocked();
    const owner = createTestJobs(db, { kinds: [countingKind(hooks)], pid: 11 });
    const runId = await startCounting(owner);
    const running = owner.runHere(runId, { signal, whenStopped: 'pause' });
    await reached();
    const jobs = createTestJobs(db, { kinds, pid: 22, timing: { silentMs: 400 } });
    const beats: number[] = [];
    await serving(jobs, () =>
      until(async () => {
        const { heartbeatAt } = await jobs.get(runId);
        if (heartbeatAt !== null && beats.at(-1) !== heartbeatAt) beats.push(heartbeatAt);
        return beats.length > 15;
      }),
    );
    release();
    expect(await running).toMatchObject({ state: 'done', fence: 1 });
  });
});
