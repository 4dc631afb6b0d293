import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { type CommitCutter, openCommitCutter } from '../testing/commit-cutter.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import { openSilentNetwork, type SilentNetwork } from '../testing/silent-network.ts';
import type { Database } from './database.ts';
import type { NodeMap } from './node-map.ts';
import { createNodeWays, type NodeWays } from './node-ways.ts';
import { createRoutedDatabase } from './routed-database.ts';
import { dynamic, inBucket, sql, statement } from './sql.ts';
import type { Transaction } from './transaction.ts';

// One server stands for a cluster whose node 1 is reached through a cutter: every node of a cluster answers for every bucket, too.
const { db, url } = await openTestDatabase();
await db.query(dynamic(sql`create table numbers (n int primary key)`));

const here = 0 as Bucket;
const atNode = 1 as Bucket;
const way = statement<{ way: string }>('way', `select current_setting('application_name') as way`);
const insert = (n: number) => dynamic(sql`insert into numbers values (${n}) on conflict do nothing`);
const stored = () => db.query(dynamic<{ n: number }>(sql`select n from numbers order by n`));
const wayOf = async (tx: Transaction): Promise<string> => (await tx.run(way()))[0]?.way ?? '';

let cutter: CommitCutter;
let ways: NodeWays;
let routed: Database;
let looks: number;
let port: number | null;
const changes: boolean[] = [];

beforeAll(async () => {
  cutter = await openCommitCutter(url);
});
beforeEach(async () => {
  await db.query(dynamic(sql`truncate numbers`));
  await ways?.close();
  cutter.setAway(false);
  looks = 1;
  port = Number(new URL(cutter.url).port);
  open();
});
afterAll(async () => {
  await ways.close();
  await cutter.close();
});

function open(): void {
  const nodes: NodeMap = {
    nodeOf: (bucket) => bucket % 2,
    addressOf: (node) => (node === 1 && port !== null ? { host: '127.0.0.1', port } : null),
    looks: () => looks,
    close() {},
  };
  const sizes = { poolSize: 2, readClients: 1, statementTimeoutMs: 10_000, connectTimeoutMs: 2_000 };
  const onChange = (_: string, answers: boolean) => void changes.push(answers);
  ways = createNodeWays({ nodes, connection: { url, applicationName: 'the node', ...sizes }, onChange });
  routed = createRoutedDatabase(db, ways);
}

const reads = async (bucket: Bucket): Promise<string> => (await routed.read(inBucket(way(), bucket)))[0]?.way ?? '';
const theNode = 'the node';
const theOthers = 'milliard test client';

describe('a cluster by its shortest ways', () => {
  test('asks the node that holds the bucket, and any other about several', async () => {
    expect(await reads(atNode)).toBe(theNode);
    expect(await reads(here)).toBe(theOthers);
    expect((await routed.read(way()))[0]?.way).toBe(theOthers);
    expect(await routed.transaction(wayOf, { near: atNode })).toBe(theNode);
    expect(await routed.transaction(wayOf)).toBe(theOthers);
    expect((await routed.query(inBucket(way(), atNode)))[0]?.way).toBe(theOthers);
    expect(routed.poolUse().open).toBe(db.poolUse().open + 1);
  });

  test('plans what a node answers for its values', async () => {
    const mode = statement<{ mode: string }>('mode', `select current_setting('plan_cache_mode') as mode`);
    const [found] = await routed.transaction((tx) => tx.run(mode()), { near: atNode });
    expect(found).toEqual({ mode: 'force_custom_plan' });
  });

  test('takes the long way where the map is not to be trusted', async () => {
    port = null;
    expect(await reads(atNode)).toBe(theOthers);
    expect(await routed.transaction(wayOf, { near: atNode })).toBe(theOthers);
  });

  test('passes a lost node by until the map names it again', async () => {
    expect(await reads(atNode)).toBe(theNode);
    cutter.setAway(true);
    expect(await reads(atNode)).toBe(theOthers);
    expect(await routed.transaction(wayOf, { near: atNode })).toBe(theOthers);
    cutter.setAway(false);
    expect(await reads(atNode)).toBe(theOthers);
    looks++;
    expect(await reads(atNode)).toBe(theNode);
    expect(await routed.transaction(wayOf, { near: atNode })).toBe(theNode);
  });

  test('a node that falls silent delays its own statements by the second in which it is noticed', async () => {
    const network: SilentNetwork = await openSilentNetwork(url);
    port = Number(new URL(network.url).port);
    expect(await reads(atNode)).toBe(theNode);
    changes.length = 0;
    network.fallSilent();
    expect(await Promise.all([reads(atNode), reads(here)])).toEqual([theOthers, theOthers]);
    expect(await routed.transaction(wayOf, { near: atNode })).toBe(theOthers);
    expect(changes).toEqual([false]);
    looks++;
    expect(await reads(atNode)).toBe(theOthers);
    network.passOn();
    await expect.poll(() => changes).toEqual([false, true]);
    expect(await reads(atNode)).toBe(theNode);
    await ways.close();
    await network.close();
  });

  test('goes to the new address after a fail-over', async () => {
    expect(await reads(atNode)).toBe(theNode);
    const second = await openCommitCutter(url);
    cutter.setAway(true);
    port = Number(new URL(second.url).port);
    looks++;
    expect(await reads(atNode)).toBe(theNode);
    await ways.close();
    await second.close();
  });

  test('a transaction that was lost before its commit is run by the others', async () => {
    cutter.setAway(true);
    await routed.transaction((tx) => tx.run(insert(1)), { near: atNode });
    expect(await stored()).toEqual([{ n: 1 }]);
  });

  test.each(['before', 'after'] as const)(
    'one that is cut %s its commit is told, or run again where that does no harm',
    async (when) => {
      const write = async (tx: Transaction) => {
        await tx.run(insert(7));
        return wayOf(tx);
      };
      const cut = () => {
        looks++;
        cutter.cutNextCommit(when);
      };
      cut();
      const sorry = { code: 'commit_unknown' };
      await expect(routed.transaction(write, { near: atNode })).rejects.toMatchObject(sorry);
      expect(await stored()).toEqual(when === 'after' ? [{ n: 7 }] : []);
      cut();
      // The second run goes the same way, which is open.
      expect(await routed.transaction(write, { near: atNode, idempotent: true })).toBe(theNode);
      expect(await stored()).toEqual([{ n: 7 }]);
    },
  );

  test('one whose node is gone after a cut commit is run by the others where that does no harm', async () => {
    let runs = 0;
    cutter.cutNextCommit('after');
    const outcome = await routed.transaction(
      async (tx) => {
        if (++runs === 2) cutter.setAway(true);
        await tx.run(insert(7));
        return wayOf(tx);
      },
      { near: atNode, idempotent: true },
    );
    expect(runs).toBe(3);
    expect(outcome).toBe(theOthers);
    expect(await stored()).toEqual([{ n: 7 }]);
  });

  test('what a node does not have is asked of the others', async () => {
    // A temporary table is known to one connection only: the pool of the others has one.
    const only = createTestClient(url, { poolSize: 1 });
    await only.query(dynamic(sql`create temporary table only_there (n int)`));
    const through = createRoutedDatabase(only, ways);
    const count = { ...dynamic<{ n: bigint }>(sql`select count(*) as n from only_there`), bucket: atNode };
    expect(await through.transaction((tx) => tx.run(count), { near: atNode })).toEqual([{ n: 0n }]);
    expect(await reads(atNode)).toBe(theOthers);
    await only.close();
  });

  test('whatever else fails is the caller’s affair', async () => {
    const wrong = { ...dynamic(sql`select 1 / 0`), bucket: atNode };
    await expect(routed.read(wrong)).rejects.toMatchObject({ fault: { sqlstate: '22012' } });
    await expect(routed.transaction((tx) => tx.run(wrong), { near: atNode })).rejects.toMatchObject({
      fault: { sqlstate: '22012' },
    });
    await expect(routed.transaction(() => Promise.reject(new Error('mine')), { near: atNode })).rejects.toThrow('mine');
    expect(await reads(atNode)).toBe(theNode);
  });
});
