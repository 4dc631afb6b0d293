import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { withAdmin, withDatabase } from '../testing/admin.ts';
import { findCitus } from '../testing/citus-cluster.ts';
import { type CitusNode, startCitusNode } from '../testing/citus-node.ts';
import { freePort } from '../testing/free-port.ts';
import { type MilliardCommand, runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { compareMixed, type MixedCounts, startMixedTraffic } from '../testing/mixed-traffic.ts';
import { createTestClient } from '../testing/open-database.ts';

// One database with rows, two servers in front of it, and two workers that wait to be added.
const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const orders = full ? 1_000_000 : 60_000;
const shards = full ? 16 : 4;
const writesBetween = full ? 2_000 : 200;

let single: CitusNode;
let workers: readonly CitusNode[];
let db: Database;
let apiKey: string;
const servers: { readonly port: number; command: MilliardCommand }[] = [];

const environment = () => ({ DATABASE_URL: single.url, MILLIARD_LOG_LEVEL: 'warn' });
const run = (...args: readonly string[]) => runMilliard({ args, env: environment() });
const adopting = () => [
  ...['cluster', 'adopt', '--shards', String(shards)],
  ...workers.flatMap(({ port }) => ['--worker', `127.0.0.1:${port}`]),
];

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...args);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}\n${stdout}`);
  return stdout;
}

/** A server with Citus at hand; only workers have the extension in their database. */
async function startNode(role: CitusNode['role']): Promise<CitusNode> {
  const settings = { fsync: 'off', full_page_writes: 'off', shared_buffers: '128MB' };
  const node = await startCitusNode({ bin: findCitus() ?? '', role, database: 'milliard', settings });
  await withAdmin(withDatabase(node.url, 'postgres'), (admin) => admin.query('create database milliard'));
  if (role === 'worker') await withAdmin(node.url, (admin) => admin.query('create extension citus'));
  return node;
}

async function serve(port: number): Promise<MilliardCommand> {
  const command = spawnMilliard({ args: ['serve', '--port', String(port)], env: environment() });
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { headers: { connection: 'close' } }).catch(
      () => null,
    );
    await answer?.arrayBuffer();
    if (answer?.ok === true) return command;
    if (!command.isRunning()) throw new Error(`milliard serve ended before it served:\n${command.output()}`);
    await delay(25);
  }
}

async function stop(command: MilliardCommand): Promise<number | null> {
  if (command.isRunning()) process.kill(command.pid, 'SIGTERM');
  return await command.ended;
}

beforeAll(async () => {
  single = await startNode('coordinator');
  workers = [await startNode('worker'), await startNode('worker')];
  await done('migrate');
  const made = await done('keys', 'create', '--name', 'traffic', '--scopes', 'admin', '--json');
  apiKey = (JSON.parse(made) as { api_key: string }).api_key;
  await done('orders', 'generate', '--count', String(orders), '--seed', '1');
  await done('shipments', 'generate', '--count', String(orders / 20), '--seed', '1');
  await done('tickets', 'generate', '--count', String(orders / 20));
  await done('usage', 'generate', '--count', String(orders / 5), '--seed', '1', '--subscriptions', '500');
  db = createTestClient(single.url, { statementTimeoutMs: 60_000 });
  await db.query(dynamic(sql`analyze`));
});

afterAll(async () => {
  await Promise.all(servers.map(({ command }) => stop(command)));
  await db?.close();
  await Promise.all([single, ...(workers ?? [])].map((node) => node?.remove()));
});

/** The answers of reads of what was there before the traffic. */
async function answersOf(paths: readonly string[]): Promise<Record<string, unknown>> {
  const { port } = servers[0] ?? { port: 0 };
  const answers: Record<string, unknown> = {};
  for (const path of paths) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${apiKey}` } });
    const { as_of: _, ...body } = (await answer.json()) as Record<string, unknown>;
    answers[path] = { status: answer.status, body };
  }
  return answers;
}

async function readPaths(): Promise<string[]> {
  const some = await db.query(
    dynamic<{ id: string; customer: string }>(
      sql`select order_id as id, customer_id as customer from orders order by order_id desc limit 20`,
    ),
  );
  const shipments = await db.query(
    dynamic<{ carrier: string; number: string }>(
      sql`select carrier_key as carrier, tracking_key as number from shipments order by shipment_id desc limit 10`,
    ),
  );
  const tickets = await db.query(
    dynamic<{ id: string; holder: string }>(
      sql`select ticket_id as id, holder from tickets order by ticket_id desc limit 10`,
    ),
  );
  const subscriptions = await db.query(
    dynamic<{ id: string }>(sql`select distinct subscription_id as id from usage_totals order by 1 limit 10`),
  );
  const days = 'from=2020-01-01&to=2099-01-01';
  return [
    ...some.flatMap(({ id, customer }) => [
      `/api/v1/orders/${id}`,
      `/api/v1/orders/${id}/history`,
      `/api/v1/orders?customer_id=${customer}&limit=100`,
      `/api/v1/orders?customer_id=${customer}&status=cancelled&limit=100`,
    ]),
    ...shipments.map(({ carrier, number }) => `/api/v1/shipments/${carrier}/${number}`),
    ...tickets.flatMap(({ id, holder }) => [`/api/v1/tickets/${id}`, `/api/v1/tickets?holder=${holder}`]),
    ...subscriptions.flatMap(({ id }) => [
      `/api/v1/usage/metrics?subscription_id=${id}&${days}&group_by=day`,
      `/api/v1/usage/metrics?subscription_id=${id}&${days}&fresh=true`,
    ]),
  ];
}

const isMoving = async (table: string): Promise<boolean> =>
  (
    await db.query(
      dynamic(sql`select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()
        and query like 'select create_distributed_table_concurrently%' and application_name like 'milliard cluster adopt%'
        and exists (select from pg_dist_partition where logicalrelid = ${table}::regclass and repmodel = 's' and partmethod = 'n')`),
    )
  ).length > 0;

const distributedTables = async (): Promise<number> =>
  Number(
    (
      await db.query(
        dynamic<{
          count: bigint;
        }>(sql`select count(*) as count from pg_dist_partition p join pg_class c on c.oid = p.logicalrelid
          where partmethod = 'h' and not c.relispartition`),
      )
    )[0]?.count ?? 0n,
  );

test('what cannot be adopted is said before anything is changed', async () => {
  await done('usage', 'direct-writes', 'enable');
  const refused = await run(...adopting());
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/Direct writes to usage_records are enabled.*milliard usage direct-writes disable/);
  await done('usage', 'direct-writes', 'disable');
  const alone = await run('cluster', 'adopt');
  expect(alone.code).toBe(1);
  expect(alone.stderr).toMatch(/name one or more, --worker HOST:PORT/);
  const dry = await run(...adopting(), '--dry-run');
  expect([dry.stderr, dry.code]).toEqual(['', 0]);
  expect(dry.stdout).toMatch(
    /orders +[\d,]+ +[\d.]+ MB +distributed +copied online to \d+ shards of \d+ partitions each/,
  );
  expect(dry.stdout).toMatch(/is fit to be a worker/);
  expect(await db.query(dynamic(sql`select from pg_extension where extname = 'citus'`))).toEqual([]);
});

test('a running database moves onto two workers under writes, the command killed on the way: nothing is lost or doubled', async () => {
  for (let n = 0; n < 2; n++) {
    const port = await freePort();
    servers.push({ port, command: await serve(port) });
  }
  const urls = servers.map(({ port }) => `http://127.0.0.1:${port}`);
  const paths = await readPaths();
  const before = await answersOf(paths);
  const traffic = startMixedTraffic(urls, apiKey);
  const told: Record<string, MixedCounts & { readonly seconds: number }> = {};
  const during = async (name: string, work: () => Promise<void>): Promise<void> => {
    traffic.take();
    const startedMs = performance.now();
    await work();
    told[name] = { seconds: Math.round((performance.now() - startedMs) / 1_000), ...traffic.take() };
    console.log(`  ${name}: ${JSON.stringify(told[name])}`);
  };
  await during('one server', () => traffic.untilMore(writesBetween));

  let adopt = spawnMilliard({ args: adopting(), env: environment() });
  const until = async (what: () => Promise<boolean> | boolean): Promise<void> => {
    while (!(await what())) {
      if (!adopt.isRunning()) throw new Error(`cluster adopt ended:\n${adopt.output()}`);
      await delay(50);
    }
  };
  await during('extension and workers', () => until(() => /Restart these/.test(adopt.output())));
  expect(adopt.output().match(/- milliard serve on/g)?.length).toBe(2);
  await during('servers restarted', async () => {
    for (const server of servers) {
      expect(await distributedTables()).toBe(0);
      expect(await stop(server.command)).toBe(0);
      server.command = await serve(server.port);
    }
  });
  await during('first tables, until kill -9', async () => {
    await until(() => isMoving('orders'));
    await until(async () => (await distributedTables()) > 0);
    await until(() => isMoving('order_keys'));
    process.kill(adopt.pid, 'SIGKILL');
    await adopt.ended;
  });
  const halfway = await distributedTables();
  adopt = spawnMilliard({ args: adopting(), env: environment() });
  await during('the rest', async () => {
    expect([await adopt.ended, adopt.output()]).toEqual([0, expect.stringContaining('The database is a cluster')]);
  });
  await during('cluster', () => traffic.untilMore(writesBetween));
  const again = await done(...adopting(), '--json');
  expect(JSON.parse(again)).toMatchObject({ outcome: 'nothing', tables: [] });
  await traffic.stop();

  expect(traffic.faults.slice(0, 5)).toEqual([]);
  expect(halfway).toBeGreaterThan(0);
  await done('usage', 'rollup', '--once');
  const compared = await compareMixed(db, traffic.acknowledged);
  console.log(`adopted ${orders} orders under 4 writers and 4 readers: ${JSON.stringify(compared)}`);
  for (const [what, { lost, doubled, acknowledged }] of Object.entries(compared)) {
    expect({ what, lost, doubled }).toEqual({ what, lost: 0, doubled: 0 });
    expect(acknowledged).toBeGreaterThan(10);
  }
  expect(await answersOf(paths)).toEqual(before);
  for (const what of ['orders', 'usage', 'shipments']) {
    const { code, stdout, stderr } = await run('verify', what);
    expect([what, code, stdout + stderr]).toEqual([what, 0, expect.any(String)]);
  }
  const left = await db.query(
    dynamic(sql`select 'slot ' || slot_name as name from pg_replication_slots union all select 'publication ' || pubname from pg_publication
      union all select 'prepared ' || gid from pg_prepared_xacts where prepared < now() - interval '10 seconds'`),
  );
  expect(left).toEqual([]);
  // A million orders take their time on a small machine.
}, 2_400_000);
