import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CacheServers, startCacheServers, startCacheTraffic } from '../testing/cache-servers.ts';

const graceMs = 4_000;
const rounds = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 20 : 2;

let servers: CacheServers;
beforeAll(async () => {
  servers = await startCacheServers({ MILLIARD_CACHE_GRACE_MS: String(graceMs) });
});
afterAll(() => servers?.stop());

test('two servers without Redis: after an acknowledged write none answers older for longer than a second, the writer never', async () => {
  const traffic = await startCacheTraffic(servers);
  await traffic.untilMore(rounds * 250);
  const { reads, writes, faults } = await traffic.stop();
  console.log(`${writes} writes beside ${reads} reads of two servers`);
  expect(faults).toEqual([]);
  expect(reads).toBeGreaterThan(200);
});

test('a database that is killed: what is cached is served, marked and with its age, until the grace; then 503; back: fresh', async () => {
  const { get, post, urls } = servers;
  const paths = ['/api/v1/shipments/DHL/DOWN-1', '/api/v1/track/dhl/down1', '/api/v1/orders?status=pending'];
  await post(`${urls[0]}/api/v1/shipments`, { carrier: 'DHL', tracking_number: 'DOWN-1', articles: [] });
  const everywhere = urls.flatMap((url) => paths.map((path) => url + path));
  for (const url of everywhere) expect((await get(url)).headers.get('milliard-stale')).toBeNull();

  await servers.killDatabase();
  const last = new Map<string, number>();
  const over = new Set<string>();
  while (over.size < everywhere.length) {
    for (const url of everywhere) {
      const { status, headers, body } = await get(url);
      const age = Number(headers.get('age'));
      if (status === 503) {
        over.add(url);
        expect(body).toMatchObject({ code: 'storage_unavailable' });
      } else {
        expect({ url, status, over: over.has(url) }).toEqual({ url, status: 200, over: false });
        // Until the loss shows, answers are fresh.
        if (headers.get('milliard-stale') === null) continue;
        expect(age).toBeLessThanOrEqual(graceMs / 1_000);
        last.set(url, age);
      }
    }
    await delay(50);
  }
  expect([...last.keys()].sort()).toEqual([...everywhere].sort());
  expect(Math.max(...last.values())).toBeGreaterThanOrEqual(1);
  for (const url of urls) expect((await get(`${url}/api/v1/shipments/DHL/NEVER-SEEN`)).status).toBe(503);

  await servers.restartDatabase();
  for (const url of everywhere) {
    while ((await get(url)).status !== 200) await delay(20);
    const { status, headers } = await get(url);
    expect([status, headers.get('milliard-stale')]).toEqual([200, null]);
  }
  const event = await post(`${urls[0]}${paths[0]}/events`, { code: 'delivered' });
  expect(event.status).toBe(201);
  expect((await get(`${urls[0]}${paths[0]}`)).body['status']).toBe('delivered');
});

test('after the loss of the database both servers are as right as before', async () => {
  const traffic = await startCacheTraffic(servers);
  await traffic.untilMore(300);
  expect((await traffic.stop()).faults).toEqual([]);
});
