import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CacheServers, startCacheServers, startCacheTraffic } from '../testing/cache-servers.ts';
import { findRedisServer, type RedisServer, startRedisServer } from '../testing/redis-server.ts';

const rounds = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 20 : 2;
const program = findRedisServer() ?? '';

let redis: RedisServer;
let servers: CacheServers;
beforeAll(async () => {
  redis = await startRedisServer(program);
  servers = await startCacheServers({ REDIS_URL: redis.url });
});
afterAll(async () => {
  await servers?.stop();
  await redis?.stop();
});

const metric = async (url: string, line: string): Promise<number> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((one) => one.startsWith(`${line} `))
      ?.split(' ')
      .at(-1),
  );
};

async function untilLink(up: number): Promise<void> {
  for (const url of servers.urls) {
    while ((await metric(url, 'milliard_cache_link_up{link="redis"}')) !== up) {
      await servers.get(`${url}/api/v1/shipments/DHL/NONE`);
      await delay(20);
    }
  }
}

test('what one server loaded the other takes from Redis', async () => {
  const [first, second] = servers.urls;
  await untilLink(1);
  const path = '/api/v1/shipments/DHL/SHARED-1';
  await servers.post(`${first}/api/v1/shipments`, { carrier: 'DHL', tracking_number: 'SHARED-1', articles: [] });
  const hits = () => metric(second, 'milliard_cache_reads_total{cache="shipments",layer="redis",outcome="hit"}');
  const before = await hits();
  const answers = [await servers.get(first + path), await servers.get(second + path)];
  expect(answers[1]?.body).toEqual(answers[0]?.body);
  expect((await hits()) - before).toBe(1);
});

test('Redis killed, started again and stopped under traffic: none answers older for longer than a second, the writer never', async () => {
  const traffic = await startCacheTraffic(servers);
  for (let round = 0; round < rounds; round++) {
    await traffic.untilMore(150);
    await redis.kill();
    await traffic.untilMore(150);
    redis = await startRedisServer(program, redis.port);
    await untilLink(1);
    await traffic.untilMore(150);
    process.kill(redis.pid, 'SIGSTOP');
    await traffic.untilMore(150);
    process.kill(redis.pid, 'SIGCONT');
    await untilLink(1);
  }
  const { reads, writes, faults } = await traffic.stop();
  console.log(`${writes} writes beside ${reads} reads of two servers, Redis away ${rounds * 2} times`);
  expect(faults).toEqual([]);
  expect(reads).toBeGreaterThan(200);
});
