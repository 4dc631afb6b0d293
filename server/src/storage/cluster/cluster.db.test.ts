import { expect, inject, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { systemClock } from '../../core/time.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { clientOptions } from '../../testing/test-cluster.ts';
import { dynamic, sql } from '../sql.ts';
import { recogniseServer } from '../topology.ts';
import { createCluster, howToGrow } from './cluster-service.ts';

const { db, url } = await openTestDatabase({ statementTimeoutMs: 60_000 });
const isCitus = inject('nodeUrls').length > 1;
const { topology } = await recogniseServer(db);
const cluster = createCluster({ db, topology, connection: clientOptions(url), clock: systemClock });
const signal = new AbortController().signal;
const actor = 'test';

test.skipIf(isCitus)(
  'a single server is one node with its bytes, and everything else says what is needed',
  async () => {
    const status = await cluster.status();
    expect(status).toMatchObject({
      topology: 'single',
      shards: 0,
      skew: { bytes: null, rows: null },
      nodes: [{ role: 'single', fault: null, facts: { shards: 0, prepared: 0, standbys: [] } }],
    });
    expect(status.nodes[0]?.facts?.bytes).toBeGreaterThan(0);
    const node = { host: '127.0.0.1', port: 1 };
    for (const refused of [
      () => cluster.planNode(node),
      () => cluster.addNode(node, actor),
      () => cluster.startRebalance(actor),
      () => cluster.startDrain(node, actor),
      () => cluster.shardsOf([1]),
    ])
      await expect(refused()).rejects.toMatchObject({ code: 'cluster_needed', message: howToGrow });
  },
);

test('an answer serves whoever asks within its age', async () => {
  const [first, second] = await Promise.all([cluster.status(), cluster.status()]);
  expect(second).toBe(first);
  expect(await cluster.status({ maxAgeMs: 60_000 })).toBe(first);
  expect(await cluster.status()).not.toBe(first);
});

test.runIf(isCitus)('a cluster tells its nodes, and shards lie evenly on the workers', async () => {
  const status = await cluster.status();
  expect(status.nodes.map(({ role }) => role)).toEqual(['coordinator', 'worker', 'worker']);
  expect(status.nodes.every(({ facts }) => facts !== null)).toBe(true);
  expect(status.shards).toBe(4);
  expect(status.nodes.map(({ facts }) => facts?.shards)).toEqual([0, 2, 2]);
  expect(status.skew.bytes).toBeGreaterThanOrEqual(1);
  expect(status.skew.bytes).toBeLessThan(1.5);
  expect(status.hottest).toBe(null);
});

test.runIf(isCitus)('a node that does not answer is named, and the others are told', async () => {
  await using _ = {
    [Symbol.asyncDispose]: async () => {
      await db.session((on) => on.run(dynamic(sql`delete from pg_dist_node where nodeport = 1`)));
    },
  };
  await db.session((on) => on.run(dynamic(sql`select citus_add_inactive_node('127.0.0.1', 1)`)));
  await db.session((on) => on.run(dynamic(sql`update pg_dist_node set isactive = true where nodeport = 1`)));
  const { nodes } = await cluster.status();
  expect(nodes.filter(({ facts }) => facts === null)).toMatchObject([
    { port: 1, fault: expect.stringContaining('127.0.0.1:1') },
  ]);
  expect(nodes.filter(({ facts }) => facts !== null)).toHaveLength(3);
});

test.runIf(isCitus)('a server that cannot be reached, or a node that is there, is told as that', async () => {
  await expect(cluster.addNode({ host: '127.0.0.1', port: 1 }, actor)).rejects.toMatchObject({
    code: 'node_unfit',
    message: expect.stringContaining('127.0.0.1:1 cannot be added'),
  });
  const { nodes } = await cluster.status();
  for (const node of nodes) expect(await cluster.addNode(node, actor)).toMatchObject({ outcome: 'nothing' });
});

test.runIf(isCitus)(
  'a bucket gets a shard of its own, once, and moves alone; even nodes have nothing to be moved',
  async () => {
    const bucket = bucketOf('acme');
    const before = (await cluster.shardsOf([bucket]))[0];
    if (before === undefined) throw new Error('every bucket has a shard');
    expect(before).toMatchObject({ bucket, isAlone: false });
    expect(before.buckets.length).toBeGreaterThan(500);
    await cluster.isolate(before, { signal, actor });
    const alone = (await cluster.shardsOf([bucket]))[0];
    if (alone === undefined) throw new Error('every bucket has a shard');
    expect(alone).toMatchObject({ isAlone: true, buckets: [bucket], port: before.port });

    const { nodes } = await cluster.status();
    const other = nodes.find(({ role, port }) => role === 'worker' && port !== alone.port);
    if (other === undefined) throw new Error('there are two workers');
    await cluster.move(alone, other, { signal, actor });
    expect((await cluster.shardsOf([bucket]))[0]).toMatchObject({ port: other.port, shardId: alone.shardId });
    await expect(cluster.move(alone, { host: '127.0.0.1', port: 1 }, { signal, actor })).rejects.toMatchObject({
      code: 'node_unknown',
    });
    const audit = await db.query(
      dynamic<{ action: string }>(sql`select action from audit_log where action like 'cluster.%' order by action`),
    );
    expect(audit.map(({ action }) => action)).toEqual(['cluster.isolate', 'cluster.move']);
  },
);

test.runIf(isCitus)('the signal ends a move, and the shard stays where it was', async () => {
  const [shard] = await cluster.shardsOf([bucketOf('stays')]);
  const { nodes } = await cluster.status();
  const other = nodes.find(({ role, port }) => role === 'worker' && port !== shard?.port);
  if (shard === undefined || other === undefined) throw new Error('there are two workers');
  const stopping = new AbortController();
  const moving = cluster.move(shard, other, {
    signal: stopping.signal,
    actor,
    onStep: () => setTimeout(() => stopping.abort(new Error('stopped')), 300),
  });
  await expect(moving).rejects.toThrow('stopped');
  expect((await cluster.shardsOf([shard.bucket]))[0]).toMatchObject({ port: shard.port, shardId: shard.shardId });
});

test.runIf(isCitus)('a node that still holds shards is not removed', async () => {
  const [shard] = await cluster.shardsOf([0]);
  if (shard === undefined) throw new Error('every bucket has a shard');
  await expect(cluster.removeNode(shard, { actor, signal: new AbortController().signal })).rejects.toMatchObject({
    code: 'node_full',
  });
});
