import { afterAll, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../core/ports.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { noThrottle, until } from '../../testing/test-jobs.ts';
import { openTestRotation } from '../../testing/test-tickets-rotation.ts';
import { startPurgeKeeper } from './ticket-purge-keeper-service.ts';
import { tokenPartitions } from './ticket-purge-queries.ts';

const { db } = await openTestDatabase({ poolSize: 12 });
const world = openTestRotation(db);
const { tickets, rotate, issue, verdicts, reread, stored } = world;

beforeEach(() => world.reset());
afterAll(() => tickets.drain());

const partitions = async () => (await db.query(tokenPartitions())).map(({ stretch }) => stretch);

async function purge() {
  const jobs = world.engine();
  const { run } = await jobs.start('tickets.purge-tokens', {}, { actor: 'tester', throttle: noThrottle });
  return jobs.runHere(run.runId, { signal: new AbortController().signal, whenStopped: 'pause' });
}

test('old tokens are told from unknown ones until their keep period is over', async () => {
  const old = await issue({ A: 120, B: 30 });
  await rotate({ event: 'A', keep_days: 1 });
  expect(await purge()).toMatchObject({ state: 'done', counts: {} });
  expect(await verdicts(old)).toEqual({ token_rotated: 120, valid: 30 });
  const fresh = await reread(old);
  await db.query(dynamic(sql`update token_generations set purge_from = now() where generation > 1`));
  expect(await purge()).toMatchObject({ state: 'done', counts: { deleted: 120 } });
  expect(await verdicts(old)).toEqual({ unknown: 120, valid: 30 });
  expect(await verdicts(fresh)).toEqual({ valid: 150 });
  expect(await purge()).toMatchObject({ state: 'done', counts: {} });
});

test('behind a rotation of all tickets the whole partition goes; the tokens of a grace stay', async () => {
  const old = await issue({ A: 60 });
  await rotate({ grace_seconds: 3_600, keep_days: 0 });
  await purge();
  expect(await verdicts(old)).toEqual({ valid: 60 });
  await rotate({ keep_days: 0 });
  const before = await partitions();
  const fresh = await reread(old);
  await purge();
  expect((await partitions()).length).toBeLessThan(before.length);
  expect(await verdicts(old)).toEqual({ unknown: 60 });
  expect(await verdicts(fresh)).toEqual({ valid: 60 });
  expect(Object.keys(await stored()).length).toBe(1);
});

test('a token is never looked for in more than four partitions, however often all tickets are rotated', async () => {
  const old = await issue({ A: 20 });
  for (let n = 1; n <= 6; n++) {
    await rotate();
    expect((await partitions()).length).toBeLessThanOrEqual(4);
  }
  expect(await verdicts(old)).toEqual({ unknown: 20 });
  expect(await verdicts(await reread(old))).toEqual({ valid: 20 });
});

test('a backup that reads the old tokens is waited for; requests are not held up meanwhile', async () => {
  const old = await issue({ A: 20 });
  await rotate({ keep_days: 0 });
  const fresh = await reread(old);
  const jobs = world.engine();
  const { run } = await jobs.start('tickets.purge-tokens', {}, { actor: 'tester', throttle: noThrottle });
  const stopper = new AbortController();
  await db.session(async (backup) => {
    await backup.script('begin; lock table ticket_tokens in access share mode');
    const end = jobs.runHere(run.runId, { signal: stopper.signal, whenStopped: 'pause' });
    await until(async () => {
      expect(await verdicts(fresh)).toEqual({ valid: 20 });
      return /long transaction/.test((await jobs.get(run.runId)).waitReason ?? '');
    });
    stopper.abort();
    expect(await end).toMatchObject({ state: 'paused' });
    await backup.script('commit');
  });
  await jobs.resume(run.runId, 'tester');
  expect(await jobs.runHere(run.runId, { signal: new AbortController().signal, whenStopped: 'pause' })).toMatchObject({
    state: 'done',
  });
  expect(await verdicts(old)).toEqual({ unknown: 20 });
});

test('a server queues the deletion when it is due, once', async () => {
  await issue({ A: 20 });
  await rotate({ keep_days: 0 });
  const jobs = world.engine();
  const keepers = [1, 2].map(() => startPurgeKeeper({ db, jobs, logger: silentLogger, everyMs: 20 }));
  const queued = () => jobs.list({ states: ['queued'], kind: 'tickets.purge-tokens', limit: 10, after: null });
  await until(async () => (await queued()).length > 0);
  await Promise.all(keepers.map((keeper) => keeper.close()));
  expect(await queued()).toMatchObject([{ actor: 'housekeeping' }]);
});

test('a server that stops waits for a look under way', async () => {
  await issue({ A: 20 });
  await rotate({ keep_days: 0 });
  const jobs = world.engine();
  const closed: string[] = [];
  let closing: Promise<unknown> = Promise.resolve();
  await db.session(async (other) => {
    await other.script('begin; lock table token_generations in access exclusive mode');
    const keeper = startPurgeKeeper({ db, jobs, logger: silentLogger });
    const waiting = dynamic(sql`select from pg_locks where not granted and relation = 'token_generations'::regclass`);
    await until(async () => (await db.query(waiting)).length > 0);
    closing = Promise.resolve(keeper.close()).then(() => closed.push('keeper'));
    // Whatever was to be done at once is done now.
    await new Promise((resolve) => setImmediate(resolve));
    closed.push('lock');
    await other.script('commit');
  });
  await closing;
  expect(closed).toEqual(['lock', 'keeper']);
  expect(await jobs.list({ states: ['queued'], kind: 'tickets.purge-tokens', limit: 10, after: null })).toHaveLength(1);
});
