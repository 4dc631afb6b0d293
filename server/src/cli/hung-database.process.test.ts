import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createDatabase } from '../storage/database.ts';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { serverProcessesIn } from '../storage/embedded/postmaster-pid.ts';
import { type MilliardProcess, startMilliard } from '../testing/milliard-process.ts';
import { compareWithStored, startTraffic, type Traffic } from '../testing/order-traffic.ts';

const rounds = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 10 : 2;
const writesBetween = 100;
/** Goes far beyond the two seconds that are promised: how busy this machine is must not fail the test. */
const answeredWithinMs = 20_000;

/** Stops every process of the cluster, the postmaster first, so that it begins no more of them. */
async function hang(clusterDir: string): Promise<() => void> {
  const postmaster = Number((await readFile(join(clusterDir, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  process.kill(postmaster, 'SIGSTOP');
  const children = (await serverProcessesIn(clusterDir)).filter((pid) => pid !== postmaster);
  for (const pid of children) process.kill(pid, 'SIGSTOP');
  let pids = [...children, postmaster];
  return () => {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    pids = [];
  };
}

interface Answer {
  readonly what: string;
  readonly status: number;
  readonly retryAfter: string | null;
  readonly ms: number;
}

const json = { 'content-type': 'application/json' };
const order = (key: string): string =>
  JSON.stringify({ customer_id: 'C1', order_number: key, items: [{ sku: 'A', quantity: 1, unit_price: 5 }] });

async function placeOrder(url: string): Promise<string> {
  const answer = await fetch(`${url}/api/v1/orders`, { method: 'POST', headers: json, body: order('looked-at') });
  return ((await answer.json()) as { order_id: string }).order_id;
}

/** One request of every kind that waits for the database. */
function askEverything(url: string, orderId: string, round: string): Promise<Answer[]> {
  const ask = async (what: string, path: string, body?: string): Promise<Answer> => {
    const began = performance.now();
    const answer = await fetch(url + path, {
      ...(body === undefined ? {} : { method: 'POST', body, headers: json }),
      signal: AbortSignal.timeout(answeredWithinMs),
    });
    await answer.arrayBuffer();
    const ms = performance.now() - began;
    return { what, status: answer.status, retryAfter: answer.headers.get('retry-after'), ms };
  };
  return Promise.all([
    ask('order', `/api/v1/orders/${orderId}`),
    ask('history', `/api/v1/orders/${orderId}/history`),
    ask('list', '/api/v1/orders?status=complete'),
    ask('page', '/api/v1/orders?page=3'),
    ask('count', '/api/v1/orders/count'),
    ask('export', '/api/v1/orders/export'),
    ask('create', '/api/v1/orders', order(`hung-${round}`)),
    ask('status', `/api/v1/orders/${orderId}/status`, JSON.stringify({ status: 'cancelled', reason: 'r' })),
    ask('bulk array', '/api/v1/orders/bulk', `[${order(`hung-bulk-${round}`)}]`),
  ]);
}

async function untilMore(traffic: Traffic): Promise<void> {
  const goal = traffic.count() + writesBetween;
  while (traffic.count() < goal) await delay(2);
}

test('a database that hangs is told within two seconds, comes back by itself, and loses nothing', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-hung-'));
  const clusterDir = join(dataDir, 'postgres');
  const embedded = await acquireEmbedded({ dataDir, purpose: 'hung database test' });
  let server: MilliardProcess | null = null;
  let wakeUp = (): void => {};
  try {
    // Without the cache, which would answer for the database.
    const env = { MILLIARD_CACHE: 'off' };
    server = await startMilliard({ args: ['dev', '--data-dir', dataDir, '--no-sample-data'], env });
    const { url } = server;
    const traffic = startTraffic(() => url);
    await untilMore(traffic);
    const orderId = await placeOrder(url);
    const worst = { firstMs: 0, laterMs: 0, backMs: 0 };
    for (let round = 0; round < rounds; round++) {
      wakeUp = await hang(clusterDir);
      const first = await askEverything(url, orderId, `${round}a`);
      const later = await askEverything(url, orderId, `${round}b`);
      for (const { what, status, retryAfter } of [...first, ...later]) {
        expect({ what, status, again: Number(retryAfter) > 0 }).toEqual({ what, status: 503, again: true });
      }
      worst.firstMs = Math.max(worst.firstMs, ...first.map(({ ms }) => ms));
      worst.laterMs = Math.max(worst.laterMs, ...later.map(({ ms }) => ms));
      const acknowledged = traffic.count();
      const began = performance.now();
      wakeUp();
      while (traffic.count() === acknowledged) await delay(2);
      worst.backMs = Math.max(worst.backMs, performance.now() - began);
      await untilMore(traffic);
      const back = await askEverything(url, orderId, `${round}a`);
      expect(back.filter(({ status }) => status > 299)).toEqual([]);
    }
    await traffic.stop();
    const db = createDatabase({
      url: embedded.url,
      applicationName: 'hung database test',
      poolSize: 2,
      readClients: 1,
      statementTimeoutMs: 0,
      connectTimeoutMs: 5_000,
    });
    const counts = await compareWithStored(db, traffic);
    await db.close();
    const times = Object.entries(worst).map(([name, ms]) => `${name} ${ms.toFixed(0)}`);
    console.log(`${rounds} times hung, the slowest answers: ${times.join(', ')}; stored: ${JSON.stringify(counts)}`);
    expect(counts).toEqual({ acknowledged: traffic.acknowledged.size, lost: 0, doubled: 0, wrongHistory: 0 });
  } finally {
    wakeUp();
    await server?.stop('SIGTERM');
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});
