import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { freePort } from '../testing/free-port.ts';
import { type MilliardCommand, runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { findNginx, type LoggedRequest, type Nginx, startNginx } from '../testing/nginx.ts';
import { findPostgres15, startPostgres15 } from '../testing/postgres-15.ts';
import { findRedisServer, type RedisServer, startRedisServer } from '../testing/redis-server.ts';
import { type TestServer, testSettings } from '../testing/test-server.ts';
import { type RequestKind, startTopologyLoad, type TopologyLoad } from '../testing/topology-load.ts';

// The topology of deploy/compose.yaml from processes of this machine: nginx as shipped, two servers, PostgreSQL 15, Redis.
const rounds = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 10 : 2;
const requestsBetween = 300;

let postgres: TestServer;
let redis: RedisServer;
let nginx: Nginx;
let servers: readonly [Running, Running];
let db: Database;
let apiKey: string;

interface Running {
  readonly port: number;
  command: MilliardCommand;
}

const environment = () => ({
  DATABASE_URL: postgres.url,
  REDIS_URL: redis.url,
  MILLIARD_TRUST_PROXY: '127.0.0.1',
});

async function start(port: number): Promise<MilliardCommand> {
  const command = spawnMilliard({ args: ['serve', '--port', String(port)], env: environment() });
  while (!(await isReady(port))) {
    if (!command.isRunning()) throw new Error(`milliard serve ended before it served:\n${command.output()}`);
    await delay(25);
  }
  return command;
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { headers: { connection: 'close' } }).catch(() => null);
  await answer?.arrayBuffer();
  return answer?.ok === true;
}

/** @returns its exit code, null when the signal ended it */
async function stop({ command }: Running, signal: NodeJS.Signals): Promise<number | null> {
  if (command.isRunning()) process.kill(command.pid, signal);
  return await command.ended;
}

beforeAll(async () => {
  postgres = await startPostgres15(findPostgres15() ?? '', testSettings);
  redis = await startRedisServer(findRedisServer() ?? '');
  expect((await runMilliard({ args: ['migrate'], env: environment() })).code).toBe(0);
  const create = ['keys', 'create', '--name', 'load', '--scopes', 'orders:read,orders:write', '--json'];
  const created = await runMilliard({ args: create, env: environment() });
  apiKey = (JSON.parse(created.stdout) as { api_key: string }).api_key;
  const [first, second] = [await freePort(), await freePort()];
  servers = [
    { port: first, command: await start(first) },
    { port: second, command: await start(second) },
  ];
  nginx = await startNginx(findNginx() ?? '', [first, second]);
  db = createDatabase({
    url: postgres.url,
    applicationName: 'topology test',
    poolSize: 2,
    readClients: 1,
    statementTimeoutMs: 0,
    connectTimeoutMs: 5_000,
  });
});

afterAll(async () => {
  await db?.close();
  await nginx?.stop();
  await Promise.all((servers ?? []).map((server) => stop(server, 'SIGTERM')));
  await redis?.stop();
  await postgres?.stop();
});

/** Compares what clients were told with what is stored. */
async function storedOnce({ acknowledged }: TopologyLoad) {
  const keyed = await db.query(
    dynamic(sql<{ key: string; orderId: string }>`select k.key, o.order_id as "orderId" from order_keys k
      join orders o on o.order_id = k.order_id and o.bucket = k.bucket where k.kind = 'request'`),
  );
  const orders = await db.query(
    dynamic(sql<{ orderId: string; customerId: string }>`select order_id as "orderId", customer_id as "customerId"
      from orders where customer_id not like 'B%'`),
  );
  const orderOfKey = new Map(keyed.map(({ key, orderId }) => [key, orderId]));
  const ordersOfCustomer = new Map<string, string[]>();
  for (const { orderId, customerId } of orders)
    ordersOfCustomer.set(customerId, [...(ordersOfCustomer.get(customerId) ?? []), orderId]);
  // Each customer placed one order.
  const once = acknowledged.filter(
    ({ customerId, key, orderId }) =>
      ordersOfCustomer.get(customerId)?.join() === orderId && (key === null || orderOfKey.get(key) === orderId),
  );
  const doubled = [...ordersOfCustomer.values()].filter((ids) => ids.length > 1).length;
  return { acknowledged: acknowledged.length, once: once.length, doubled };
}

const kinds: readonly RequestKind[] = ['read', 'keyed order', 'order without a key', 'bulk'];

/** For those who read the test's output: failures of POSTs that nobody but their client can send again are no fault here. */
const countsOf = (load: TopologyLoad) =>
  Object.fromEntries(
    kinds.map((what) => {
      const failed = load.failed.filter((failure) => failure.what === what).length;
      return [what, { sent: load.sent(what), failed }];
    }),
  );

const sentAgain = (log: readonly LoggedRequest[]): number => log.filter(({ servers }) => servers.length > 1).length;

async function withLoad(work: (load: TopologyLoad) => Promise<void>): Promise<TopologyLoad> {
  const load = startTopologyLoad(nginx.url, apiKey);
  try {
    await load.untilMore(requestsBetween);
    await work(load);
    await load.untilMore(requestsBetween);
  } finally {
    await load.stop();
  }
  return load;
}

test('each server in turn is stopped and started again under load: no read and no keyed POST fails, no order is lost or doubled', async () => {
  const logged = nginx.log().length;
  const load = await withLoad(async (running) => {
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        expect(await stop(server, 'SIGTERM')).toBe(0);
        server.command = await start(server.port);
        await running.untilMore(requestsBetween);
      }
    }
  });
  const log = nginx.log().slice(logged);
  const counts = countsOf(load);
  const stored = await storedOnce(load);
  console.log(
    `${rounds * 2} restarts: ${JSON.stringify({ ...counts, sentAgainByNginx: sentAgain(log), stored })}`,
    load.failed.slice(0, 5),
  );
  expect(load.failed.filter(({ what }) => what === 'read' || what === 'keyed order')).toEqual([]);
  expect(stored).toEqual({ acknowledged: load.acknowledged.length, once: load.acknowledged.length, doubled: 0 });
  // Both had their share, else nothing was shown.
  for (const { port } of servers)
    expect(log.filter(({ servers: asked }) => asked.includes(`127.0.0.1:${port}`)).length).toBeGreaterThan(100);
});

test('kill -9 of a server under load costs no read; what it cost of the rest is told, and nothing acknowledged is lost or doubled', async () => {
  const load = await withLoad(async (running) => {
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        await stop(server, 'SIGKILL');
        await running.untilMore(requestsBetween);
        server.command = await start(server.port);
        await running.untilMore(requestsBetween);
      }
    }
  });
  const counts = countsOf(load);
  const stored = await storedOnce(load);
  console.log(`${rounds * 2} times kill -9: ${JSON.stringify({ ...counts, stored })}`, load.failed.slice(0, 5));
  expect(load.failed.filter(({ what }) => what === 'read')).toEqual([]);
  expect(stored).toMatchObject({ once: load.acknowledged.length, doubled: 0 });
});

test('a bulk upload of many parts goes through nginx whole, though the server could answer before it ends', async () => {
  const rows = 60_000;
  const line = (n: number): string =>
    `{"customer_id":"B${n % 100}","order_number":"big-${n}","items":[{"sku":"A","quantity":1,"unit_price":5}]}\n`;
  const answer = await fetch(`${nginx.url}/api/v1/orders/bulk?report=all`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/x-ndjson' },
    body: Array.from({ length: rows }, (_, n) => line(n)).join(''),
  });
  const lines = (await answer.text()).trim().split('\n');
  expect(answer.status).toBe(200);
  expect(lines.length).toBe(rows + 1);
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ summary: { rows, created: rows } });
});
