import { afterAll, beforeAll, expect, test } from 'vitest';
import { bucketOf } from '../core/bucket.ts';
import { compareStored, type StretchCounts, startClusterTraffic } from '../testing/cluster-traffic.ts';
import { type ServedCluster, serveCluster } from '../testing/test-cluster.ts';

// A cluster of two workers, and a third that comes and goes, under four writers and four readers over HTTP.
const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const shards = full ? 16 : 4;
const ordersBetween = full ? 2_000 : 200;
const customers = Array.from({ length: 50 }, (_, n) => `c${n}`);
const hot = 'c7';
const salted = 'c9';

let served: ServedCluster;
beforeAll(async () => {
  served = await serveCluster({ workers: 2, shards });
});
afterAll(() => served?.close());

async function command(...args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await served.run('cluster', ...args, '--json');
  if (code !== 0) throw new Error(`cluster ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** A transaction that stays open too long makes `salt` give up, and the customer keeps its layout: then once more. */
async function saltAtLast(customer: string, ways: number): Promise<Record<string, unknown> | undefined> {
  for (let heldUp = 0; ; heldUp++) {
    const { code, stdout, stderr } = await served.run('cluster', 'salt', customer, '--ways', String(ways), '--json');
    if (code === 0) return { ...(JSON.parse(stdout) as object), heldUp };
    if (heldUp === 5 || !stderr.includes('keeps the layout')) throw new Error(stderr);
  }
}

test('nodes come and go and shards move under writes: nothing acknowledged is lost or doubled, nothing fails', async () => {
  const traffic = startClusterTraffic({ ...served, customers });
  await traffic.untilMore(ordersBetween);
  const told: Record<string, StretchCounts & { readonly seconds: number }> = {};
  const during = async (name: string, work: () => Promise<void>): Promise<void> => {
    traffic.take();
    const startedMs = performance.now();
    await work();
    await traffic.untilMore(ordersBetween);
    told[name] = { seconds: Math.round((performance.now() - startedMs) / 1_000), ...traffic.take() };
  };
  const third = await served.cluster.startWorker();
  const node = `127.0.0.1:${third.port}`;
  await during('quiet', async () => {});
  await during('add-node', async () => {
    expect(await command('add-node', node)).toMatchObject([{ outcome: 'add' }]);
    expect(await command('add-node', node)).toMatchObject([{ outcome: 'nothing' }]);
  });
  await during('rebalance', async () => {
    expect((await command('rebalance', '--dry-run')).length).toBeGreaterThan(0);
    expect((await command('rebalance')).at(-1)).toMatchObject({ state: 'finished' });
    expect(await command('rebalance', '--dry-run')).toEqual([]);
  });
  await during('isolate', async () => {
    expect(await command('isolate', hot)).toMatchObject([{ bucket: bucketOf(hot), outcome: 'isolated' }]);
    expect(await command('isolate', hot)).toMatchObject([{ bucket: bucketOf(hot), outcome: 'nothing' }]);
  });
  await during('salt', async () => {
    expect(await saltAtLast(salted, 4)).toMatchObject({ outcome: 'salted', ways_before: 1, ways: 4 });
    await traffic.untilMore(ordersBetween);
    expect(await saltAtLast(salted, 8)).toMatchObject({ outcome: 'salted', ways_before: 4, ways: 8 });
  });
  await during('move', async () => {
    const [{ node: from } = {}] = await command('isolate', hot, '--dry-run');
    const to = served.cluster.nodes
      .filter(({ role }) => role === 'worker')
      .map(({ port }) => `127.0.0.1:${port}`)
      .find((address) => address !== from);
    expect(await command('move', '--customer', hot, '--to', to ?? '')).toMatchObject([{ outcome: 'moved', from, to }]);
  });
  await during('drain-node', async () => {
    const ended = await command('drain-node', node, '--remove');
    expect(ended.at(-1)).toMatchObject({ node, state: 'removed' });
  });
  await traffic.stop();
  const stored = await compareStored(served.db, traffic.orders);
  console.log(
    `cluster under 4 writers and 4 readers: ${JSON.stringify({ acknowledged: traffic.orders.size, ...stored })}`,
  );
  for (const [name, counts] of Object.entries(told)) console.log(`  ${name}: ${JSON.stringify(counts)}`);
  expect(traffic.faults.slice(0, 5)).toEqual([]);
  expect(stored).toEqual({ lost: 0, doubled: 0 });
  const layouts = await command('salts');
  expect(layouts).toMatchObject([{ customer_id: salted, ways: [1, 4, 8] }]);
  const status = await served.nodes.status();
  expect(status.nodes.map(({ role }) => role)).toEqual(['coordinator', 'worker', 'worker']);
  expect(status.nodes.every(({ facts }) => facts !== null)).toBe(true);
});

test('GET /api/v1/cluster and /metrics tell the nodes', async () => {
  const answer = await fetch(`${served.url}/api/v1/cluster`, { headers: { authorization: `Bearer ${served.apiKey}` } });
  expect(await answer.json()).toMatchObject({
    topology: 'citus',
    nodes: [{ role: 'coordinator', up: true }, { up: true }, { up: true }],
  });
  const metrics = await (await fetch(`${served.url}/metrics`)).text();
  for (const { port } of served.cluster.nodes.slice(0, 3))
    expect(metrics).toMatch(new RegExp(`milliard_cluster_node_up\\{node="127.0.0.1:${port}",role="\\w+"\\} 1`));
  expect(metrics).toMatch(/milliard_cluster_skew\{of="bytes"\} 1/);
  expect(metrics).toMatch(/milliard_cluster_prepared_transactions\{/);
});
