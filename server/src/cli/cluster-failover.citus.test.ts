import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bucketOf } from '../core/bucket.ts';
import { systemClock } from '../core/time.ts';
import { createCluster } from '../storage/cluster/cluster-service.ts';
import { migrate } from '../storage/migrator.ts';
import { withAdmin, withDatabase } from '../testing/admin.ts';
import { findCitus } from '../testing/citus-cluster.ts';
import { type CitusNode, startCitusNode } from '../testing/citus-node.ts';
import {
  type Call,
  type ClusterTraffic,
  compareStored,
  createSend,
  startClusterTraffic,
} from '../testing/cluster-traffic.ts';
import { runMilliard, startMilliard } from '../testing/milliard-process.ts';
import { createTestClient } from '../testing/open-database.ts';
import { clientOptions, type ServedCluster, serveCluster } from '../testing/test-cluster.ts';

// A worker and its synchronous standby, and the coordinator and its own, under four writers and four readers over HTTP.
const customers = Array.from({ length: 50 }, (_, n) => `c${n}`);
const servedAgainMs = 10_000;
const ordersBetween = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 2_000 : 300;

let served: ServedCluster;
beforeAll(async () => {
  served = await serveCluster({ workers: 2, shards: 4, durable: true });
});
afterAll(() => served?.close());

const addressOf = ({ host, port }: CitusNode): string => `${host}:${port}`;

/** A standby of a node of this cluster that each commit of the node waits for; its own settings would make it wait for one, too. */
async function withSynchronousStandby(node: CitusNode, name: string): Promise<CitusNode> {
  return waitedFor(node, await served.cluster.startStandby(node, name), name);
}

async function waitedFor(node: CitusNode, standby: CitusNode, name: string): Promise<CitusNode> {
  for (const { url } of [node, standby])
    await withAdmin(url, async (admin) => {
      await admin.query(`alter system set synchronous_standby_names = '${name}'`);
      await admin.query('select pg_reload_conf()');
    });
  await withAdmin(node.url, async (admin) => {
    const selectSync = `select from pg_stat_replication where application_name = '${name}' and sync_state = 'sync'`;
    while ((await admin.query(selectSync)).rowCount === 0) await delay(50);
  });
  return standby;
}

async function failOver(
  node: CitusNode,
  ...args: readonly string[]
): Promise<{ code: number; stderr: string; told: Record<string, unknown> }> {
  return failOverOf(served.cluster.coordinatorUrl, node, args);
}

async function failOverOf(url: string, node: CitusNode, args: readonly string[]) {
  const { code, stdout, stderr } = await runMilliard({
    args: ['cluster', 'failover', addressOf(node), ...args, '--json'],
    env: { DATABASE_URL: url },
  });
  return { code, stderr, told: stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>) };
}

/** Customers whose shards are there. */
async function customersOf(node: CitusNode): Promise<readonly string[]> {
  const shards = await served.nodes.shardsOf(customers.map(bucketOf));
  return customers.filter((customer) =>
    shards.some(({ port, buckets }) => port === node.port && buckets.includes(bucketOf(customer))),
  );
}

/** When each of them had been answered again, read and written, in ms from now. */
async function untilServed(
  own: readonly string[],
  url = served.url,
): Promise<{ readonly readMs: number; readonly writtenMs: number }> {
  const startedMs = performance.now();
  const { send, close } = createSend(url, served.apiKey);
  const items = [{ sku: 'A', quantity: 1, unit_price: 5 }];
  const untilAll = async (callOf: (customer: string) => Call): Promise<number> => {
    const untilOne = async (customer: string): Promise<void> => {
      while ((await send(callOf(customer))).status >= 400) await delay(20);
    };
    await Promise.all(own.map(untilOne));
    return Math.round(performance.now() - startedMs);
  };
  try {
    const [readMs, writtenMs] = await Promise.all([
      untilAll((customer) => ({ path: `/api/v1/orders?customer_id=${customer}&limit=5` })),
      untilAll((customer) => ({ path: '/api/v1/orders', document: { customer_id: customer, items } })),
    ]);
    return { readMs, writtenMs };
  } finally {
    close();
  }
}

interface Ended {
  readonly name: string;
  readonly traffic: ClusterTraffic;
  readonly facts: object;
}

async function requireWhole(
  { name, traffic, facts }: Ended,
  { db, nodes: cluster }: Pick<ServedCluster, 'db' | 'nodes'>,
): Promise<void> {
  await traffic.stop();
  const stored = await compareStored(db, traffic.orders);
  const { nodes } = await cluster.status();
  const prepared = nodes.map(({ facts: told }) => told?.prepared ?? Number.NaN);
  console.log(
    `${name}: ${JSON.stringify({ ...facts, ...traffic.take(), acknowledged: traffic.orders.size, ...stored, prepared })}`,
  );
  expect(traffic.faults.slice(0, 5)).toEqual([]);
  expect(stored).toEqual({ lost: 0, doubled: 0 });
  expect(prepared).toEqual([0, 0, 0]);
}

test('a worker is lost and its synchronous standby takes over: nothing acknowledged is lost, its customers are served again', async () => {
  const [, worker] = served.cluster.nodes;
  if (worker === undefined) throw new Error('there are two workers');
  const standby = await withSynchronousStandby(worker, 'standby_of_1');
  const own = await customersOf(worker);
  expect(own.length).toBeGreaterThan(5);
  const traffic = startClusterTraffic({ ...served, customers });
  await traffic.untilMore(ordersBetween);

  expect(await failOver(worker, '--to', addressOf(standby))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('answers as a primary'),
  });
  await traffic.untilMore(50);
  await worker.kill();
  const told = traffic.now().toldToWait;
  while (traffic.now().toldToWait < told + 20) await delay(5);

  const other = served.cluster.nodes[2];
  if (other === undefined) throw new Error('there are two workers');
  expect(await failOver(worker, '--to', addressOf(other))).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('a place of its own'),
  });
  expect(await failOver(worker, '--to', addressOf(standby), '--dry-run')).toMatchObject({
    code: 0,
    told: { outcome: 'planned', role: 'worker', lost: 'stopped', promotes: true, redirects: true },
  });
  const serving = untilServed(own);
  const ran = await failOver(worker, '--to', addressOf(standby));
  expect(ran).toMatchObject({
    code: 0,
    told: { outcome: 'failed-over', role: 'worker', prepared_left: 0 },
  });
  const again = await serving;
  await traffic.untilMore(ordersBetween);
  expect(await failOver(worker, '--to', addressOf(standby))).toMatchObject({ code: 0, told: { outcome: 'nothing' } });
  const facts = { customers: own.length, commandMs: ran.told['took_ms'], ...again, recovered: ran.told['recovered'] };
  await requireWhole({ name: 'a worker killed, its standby promoted', traffic, facts }, served);
  expect(ran.told['done']).toEqual(expect.arrayContaining([expect.stringContaining('synchronous_standby_names of')]));
  expect(Math.max(again.readMs, again.writtenMs)).toBeLessThan(servedAgainMs);
  const { nodes } = await served.nodes.status();
  expect(nodes.map(({ port }) => port)).toContain(standby.port);
  expect(nodes.map(({ port }) => port)).not.toContain(worker.port);
});

test('a server that only falls silent keeps its place until somebody says that it is off', async () => {
  const [, , worker] = served.cluster.nodes;
  if (worker === undefined) throw new Error('there are two workers');
  const standby = await withSynchronousStandby(worker, 'standby_of_2');
  const own = await customersOf(worker);
  await worker.freeze();
  try {
    expect(await failOver(worker, '--to', addressOf(standby))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--switched-off'),
    });
  } finally {
    await worker.kill();
  }
  const serving = untilServed(own);
  const ran = await failOver(worker, '--to', addressOf(standby), '--switched-off');
  expect(ran).toMatchObject({ code: 0, told: { outcome: 'failed-over', prepared_left: 0 } });
  console.log(
    `a frozen worker, switched off: ${JSON.stringify({ commandMs: ran.told['took_ms'], ...(await serving) })}`,
  );
});

test('the coordinator is lost and its synchronous standby takes over: servers that know both follow by themselves', async () => {
  const [coordinator] = served.cluster.nodes;
  if (coordinator === undefined) throw new Error('a cluster has a coordinator');
  const standby = await withSynchronousStandby(coordinator, 'standby_of_0');
  const both = `postgresql://milliard@${addressOf(coordinator)},${addressOf(standby)}/milliard?target_session_attrs=read-write`;
  const server = await startMilliard({ args: ['serve'], env: { DATABASE_URL: both } });
  const db = createTestClient(standby.url, { statementTimeoutMs: 60_000 });
  const connection = clientOptions(standby.url);
  try {
    const traffic = startClusterTraffic({ url: server.url, apiKey: served.apiKey, customers });
    await traffic.untilMore(ordersBetween);
    await coordinator.kill();
    const told = traffic.now().toldToWait;
    while (traffic.now().toldToWait < told + 20) await delay(5);
    const serving = untilServed(customers, server.url);
    const ran = await failOverOf(both, coordinator, ['--to', addressOf(standby)]);
    expect(ran).toMatchObject({ code: 0, told: { outcome: 'failed-over', role: 'coordinator', prepared_left: 0 } });
    expect(ran.told['remains']).toEqual(
      expect.arrayContaining([expect.stringContaining(`DATABASE_URL names ${addressOf(standby)}`)]),
    );
    const again = await serving;
    await traffic.untilMore(ordersBetween);
    const facts = { commandMs: ran.told['took_ms'], ...again, recovered: ran.told['recovered'] };
    const nodes = createCluster({ db, topology: 'citus', connection, clock: systemClock });
    await requireWhole({ name: 'the coordinator killed, its standby promoted', traffic, facts }, { db, nodes });
  } finally {
    await server.stop('SIGTERM');
    await db.close();
  }
});

test('a single server is lost: its standby is promoted, and where servers have to go is told', async () => {
  const bin = findCitus();
  if (bin === null) throw new Error('there is a PostgreSQL');
  const made = { bin, role: 'coordinator', database: 'milliard', settings: {} } as const;
  const primary = await startCitusNode(made);
  const standbyOf = { host: primary.host, port: primary.port, name: 'second' };
  let standby: CitusNode | null = null;
  try {
    await withAdmin(withDatabase(primary.url, 'postgres'), (admin) => admin.query('create database milliard'));
    await migrate({ url: primary.url });
    const second = await startCitusNode({ ...made, standbyOf });
    standby = second;
    await waitedFor(primary, second, 'second');
    const generate = ['orders', 'generate', '--count', '500', '--seed', '1'];
    expect(await runMilliard({ args: generate, env: { DATABASE_URL: primary.url } })).toMatchObject({ code: 0 });
    const to = ['--to', addressOf(second)];
    expect(await failOverOf(primary.url, primary, to)).toMatchObject({ code: 1 });
    await primary.kill();
    expect(await failOverOf(primary.url, primary, [...to, '--dry-run'])).toMatchObject({
      code: 0,
      told: { outcome: 'planned', role: 'single', promotes: true, redirects: false },
    });
    const ran = await failOverOf(primary.url, primary, to);
    expect(ran).toMatchObject({ code: 0, told: { outcome: 'failed-over', role: 'single' } });
    expect(ran.told['remains']).toEqual(
      expect.arrayContaining([expect.stringContaining(`DATABASE_URL=${second.url}`)]),
    );
    expect(await failOverOf(second.url, primary, to)).toMatchObject({ code: 0, told: { outcome: 'nothing' } });
    await withAdmin(second.url, async (admin) => {
      expect((await admin.query('select count(*)::int as n from orders')).rows).toEqual([{ n: 500 }]);
      const audit = await admin.query(`select subject from audit_log where action = 'cluster.failover'`);
      expect(audit.rows).toEqual([{ subject: addressOf(primary) }]);
    });
  } finally {
    await standby?.remove();
    await primary.remove();
  }
});
