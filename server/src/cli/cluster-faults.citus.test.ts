import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bucketOf } from '../core/bucket.ts';
import type { CitusNode } from '../testing/citus-node.ts';
import { compareStored, createSend, startClusterTraffic } from '../testing/cluster-traffic.ts';
import { type ServedCluster, serveCluster } from '../testing/test-cluster.ts';

const rounds = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 10 : 2;
const customers = Array.from({ length: 50 }, (_, n) => `c${n}`);
const statementTimeoutMs = 4_000;
const frozenForMs = 20_000;
// A statement that hangs is given up a second later, and tried once more on a new connection.
const deadlineMs = 2 * (statementTimeoutMs + 1_000) + 500;

let served: ServedCluster;
beforeAll(async () => {
  const env = { MILLIARD_STATEMENT_TIMEOUT_MS: String(statementTimeoutMs) };
  served = await serveCluster({ workers: 2, shards: 4, durable: true, env });
});
afterAll(() => served?.close());

const workers = (): readonly CitusNode[] => served.cluster.nodes.filter(({ role }) => role === 'worker');

test('a worker is killed in mid-flight, again and again: every acknowledged order is there once, and nothing stays prepared', async () => {
  const traffic = startClusterTraffic({ ...served, customers });
  let recovered = 0;
  for (let round = 0; round < rounds; round++) {
    await traffic.untilMore(200);
    const worker = workers()[round % 2];
    if (worker === undefined) throw new Error('there are two workers');
    await worker.kill();
    const told = traffic.now().toldToWait;
    while (traffic.now().toldToWait < told + 20) await delay(5);
    await worker.start();
    recovered += await served.nodes.recover();
    await traffic.untilMore(50);
  }
  await traffic.stop();
  recovered += await served.nodes.recover();
  const stored = await compareStored(served.db, traffic.orders);
  const { nodes } = await served.nodes.status();
  const prepared = nodes.map(({ facts }) => facts?.prepared ?? Number.NaN);
  console.log(
    `kill -9 of a worker x${rounds}: ${JSON.stringify({ ...traffic.take(), acknowledged: traffic.orders.size, ...stored, recovered, prepared })}`,
  );
  expect(traffic.faults.slice(0, 5)).toEqual([]);
  expect(stored).toEqual({ lost: 0, doubled: 0 });
  expect(prepared).toEqual([0, 0, 0]);
});

test('a worker freezes: requests for live shards are answered within the deadline, all but one in a hundred with success, the others get 503 with Retry-After', async () => {
  const [frozen] = workers();
  if (frozen === undefined) throw new Error('there are two workers');
  const shards = await served.nodes.shardsOf(customers.map(bucketOf));
  const isDead = (customer: string): boolean =>
    shards.some(({ port, buckets }) => port === frozen.port && buckets.includes(bucketOf(customer)));
  const { send, close } = createSend(served.url, served.apiKey, 3 * deadlineMs);
  // Each connection has spoken with both workers before: those are the ones that could hang.
  const place = (customer: string) =>
    send({
      path: '/api/v1/orders',
      document: { customer_id: customer, items: [{ sku: 'A', quantity: 1, unit_price: 5 }] },
    });
  const list = (customer: string) => send({ path: `/api/v1/orders?customer_id=${customer}&limit=5` });
  await Promise.all(customers.flatMap((customer) => [place(customer), list(customer)]));
  const counts = {
    live: 0,
    liveLate: 0,
    liveRefused: 0,
    dead: 0,
    deadAnswered: 0,
    deadLate: 0,
    worstLiveMs: 0,
    worstDeadMs: 0,
  };
  const faults: string[] = [];
  const ask = async (customer: string, call: typeof place): Promise<void> => {
    const startedMs = performance.now();
    const { status, retryAfter, tookMs, body } = await call(customer).catch((error: Error) => ({
      ...{ status: 0, retryAfter: null, body: `${call === place ? 'POST' : 'GET'} ${error.message}` },
      tookMs: performance.now() - startedMs,
    }));
    const isLate = tookMs > deadlineMs;
    if (isDead(customer)) {
      counts.dead++;
      counts.worstDeadMs = Math.max(counts.worstDeadMs, Math.round(tookMs));
      if (isLate) counts.deadLate++;
      if (status !== 503 || retryAfter === null) {
        counts.deadAnswered++;
        faults.push(`dead ${status} ${retryAfter} ${body.slice(0, 200)}`);
      }
      return;
    }
    counts.live++;
    counts.worstLiveMs = Math.max(counts.worstLiveMs, Math.round(tookMs));
    if (isLate) counts.liveLate++;
    if (status < 200 || status >= 300) {
      counts.liveRefused++;
      faults.push(`live ${status} ${body.slice(0, 200)}`);
    }
  };
  await frozen.freeze();
  try {
    const untilMs = performance.now() + frozenForMs;
    const client = async (own: readonly string[], n: number): Promise<void> => {
      for (let turn = n; performance.now() < untilMs; turn++)
        await ask(own[turn % own.length] ?? '', turn % 2 === 0 ? list : place);
    };
    const [dead, live] = [customers.filter(isDead), customers.filter((customer) => !isDead(customer))];
    await Promise.all([0, 1, 2].flatMap((n) => [client(dead, n), client(live, n)]));
  } finally {
    await frozen.thaw();
    close();
  }
  console.log(`a frozen worker: ${JSON.stringify(counts)}`, [...new Set(faults)].slice(0, 5));
  expect(counts.live).toBeGreaterThan(100);
  expect(counts.dead).toBeGreaterThan(5);
  expect(counts).toMatchObject({ liveLate: 0, deadAnswered: 0, deadLate: 0 });
  // Sessions that were at work for the frozen node when it froze take those behind them along.
  expect(counts.liveRefused).toBeLessThanOrEqual(counts.live / 100);
  expect(faults.filter((fault) => !fault.startsWith('live 503'))).toEqual([]);
  const again = await Promise.all(customers.map(list));
  expect(again.map(({ status }) => status)).toEqual(again.map(() => 200));
});
