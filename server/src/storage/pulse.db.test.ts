import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import { openSilentNetwork } from '../testing/silent-network.ts';
import type { Database } from './database.ts';
import { dynamic, sql, statement } from './sql.ts';

const { db, url } = await openTestDatabase();
await db.query(dynamic(sql`create table numbers (n int primary key)`));
const network = await openSilentNetwork(url);
afterAll(() => network.close());

let client: Database;
let changes: boolean[];
const openClient = () =>
  createTestClient(network.url, {
    connectTimeoutMs: 1_500,
    pulse: { onChange: (answers) => changes.push(answers) },
  });
beforeEach(async () => {
  await db.query(dynamic(sql`truncate numbers`));
  changes = [];
  client = openClient();
});
afterEach(async () => {
  network.passOn();
  await client.close();
});

const one = statement<{ one: number }>('one', 'select 1 as one');
const sleep = (seconds: number) => dynamic(sql`select pg_sleep(${seconds})`);
const insert = (n: number) => dynamic(sql`insert into numbers values (${n}) on conflict do nothing`);
const stored = async () =>
  (await db.query(dynamic(sql<{ n: number }>`select n from numbers order by n`))).map(({ n }) => n);

/** Every way to the database has a connection that stands. */
const warmUp = () => Promise.all([1, 2, 3].flatMap(() => [client.read(one()), client.query(one())]));
const unavailable = { status: 'rejected', reason: { code: 'storage_unavailable' } };

async function untilAnswered(): Promise<void> {
  while (!(await client.read(one()).catch(() => false))) await delay(20);
}

test('a database that gives no sign of life is unavailable to everybody, until it answers again', async () => {
  await warmUp();
  network.fallSilent();
  const began = performance.now();
  const first = await Promise.allSettled([
    ...Array.from({ length: 20 }, () => client.read(one())),
    ...Array.from({ length: 20 }, () => client.query(one())),
    client.transaction((tx) => tx.run(insert(1))),
    client.transaction((tx) => tx.run(insert(2)), { idempotent: true }),
  ]);
  const firstMs = performance.now() - began;
  for (const result of first) expect(result).toMatchObject(unavailable);
  const second = await Promise.allSettled([client.read(one()), client.query(one()), client.transaction(async () => 1)]);
  const secondMs = performance.now() - began - firstMs;
  for (const result of second) expect(result).toMatchObject(unavailable);
  console.log(`silent network: told after ${firstMs.toFixed(0)} ms, then after ${secondMs.toFixed(0)} ms`);
  expect(changes).toEqual([false]);

  network.passOn();
  await untilAnswered();
  expect(changes).toEqual([false, true]);
  await client.transaction((tx) => tx.run(insert(3)));
  expect(await stored()).toEqual([3]);
});

test('one that is silent from the first connection on is unavailable, too', async () => {
  network.fallSilent();
  const results = await Promise.allSettled([client.read(one()), client.query(one())]);
  for (const result of results) expect(result).toMatchObject(unavailable);
  network.passOn();
  await untilAnswered();
});

test('a write that was being committed is told as unknown, and found when it is sent again', async () => {
  const write = () =>
    client.transaction(
      async (tx) => {
        await tx.run(insert(1));
        network.fallSilent();
      },
      { idempotent: true },
    );
  await expect(write()).rejects.toMatchObject({ code: 'commit_unknown' });
  network.passOn();
  await untilAnswered();
  await client.transaction((tx) => tx.run(insert(1)));
  expect(await stored()).toEqual([1]);
});

test('a COPY under way ends, and leaves nothing', async () => {
  async function* chunks() {
    yield Buffer.from('1\n');
    network.fallSilent();
    for (let n = 2; ; n++) {
      yield Buffer.from(`${n}\n`.repeat(10_000));
      await delay(1);
    }
  }
  await expect(client.transaction((tx) => tx.copyIn('copy numbers (n) from stdin', chunks()))).rejects.toMatchObject({
    code: 'storage_unavailable',
  });
  network.passOn();
  await untilAnswered();
  expect(await stored()).toEqual([]);
});

test('statements may take long while the database lives', async () => {
  const slow = [client.query(sleep(2.5)), client.read(sleep(2.5)), client.transaction((tx) => tx.run(sleep(2.5)))];
  expect(await Promise.all(slow)).toHaveLength(3);
  expect(changes).toEqual([]);
});

test('a session waits for the database to come back', async () => {
  await warmUp();
  const ends: string[] = [];
  await client.session(async (session) => {
    network.fallSilent();
    const waiting = session.run(one()).then(() => ends.push('session'));
    await expect(client.query(one())).rejects.toMatchObject({ code: 'storage_unavailable' });
    ends.push('query');
    network.passOn();
    await waiting;
  });
  expect(ends).toEqual(['query', 'session']);
});

test('a client can be closed while the database is silent', async () => {
  const other = openClient();
  await Promise.all([other.read(one()), other.query(one())]);
  network.fallSilent();
  await other.close();
  expect(changes).toEqual([false]);
});
