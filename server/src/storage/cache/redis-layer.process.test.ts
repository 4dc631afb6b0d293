import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../core/ports.ts';
import { findRedisServer, type RedisServer, startRedisServer } from '../../testing/redis-server.ts';
import { connectRedis } from './redis-client.ts';
import { createRedisLayer } from './redis-layer.ts';
import type { Fetched, SharedLayer } from './shared-layer.ts';

const program = findRedisServer() ?? '';
const longAgo = 60_000;
let redis: RedisServer;
const layers: SharedLayer[] = [];

beforeAll(async () => {
  redis = await startRedisServer(program);
});
afterAll(async () => {
  for (const layer of layers) layer.close();
  await redis?.stop();
});

/** The layer of one server; `unprovenMs` 0: only what is trusted counts as fresh. */
async function openLayer({ prefix = 'test', unprovenMs = 0 } = {}): Promise<SharedLayer> {
  const layer = createRedisLayer({
    client: connectRedis(redis.url),
    prefix,
    unprovenMs,
    longestMs: longAgo,
    keepMs: longAgo,
    logger: silentLogger,
  });
  layers.push(layer);
  await until(() => layer.isUp());
  return layer;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

async function leaseFor(layer: SharedLayer, key: string): Promise<string> {
  const fetched = await layer.fetch('c', key);
  if (fetched.kind !== 'nothing' || fetched.lease === null) throw new Error(`no lease: ${JSON.stringify(fetched)}`);
  return fetched.lease;
}

const fresh = (fetched: Fetched): string | null => (fetched.kind === 'value' ? fetched.json : null);

test('what one server stores the others find, and trust', async () => {
  const [a, b] = [await openLayer(), await openLayer()];
  a.store('c', 'shared', { lease: await leaseFor(a, 'shared'), json: '{"é":"\\u0000 ☃"}' });
  // In order on one connection: what is fetched behind the storing sees it.
  expect(fresh(await a.fetch('c', 'shared'))).toBe('{"é":"\\u0000 ☃"}');
  expect(await b.fetch('c', 'shared')).toMatchObject({ kind: 'value', json: '{"é":"\\u0000 ☃"}', trusted: true });
  expect(await b.fetch('another cache', 'shared')).toMatchObject({ kind: 'nothing', older: null });
});

test('a load that began before a deletion is not stored behind it, on whichever server', async () => {
  const [a, b] = [await openLayer(), await openLayer()];
  const old = await leaseFor(a, 'raced');
  b.drop('c', ['raced']);
  const lease = await leaseFor(b, 'raced');
  a.store('c', 'raced', { lease: old, json: '"older"' });
  expect(fresh(await a.fetch('c', 'raced'))).toBeNull();
  b.store('c', 'raced', { lease, json: '"newer"' });
  expect(fresh(await b.fetch('c', 'raced'))).toBe('"newer"');
  a.store('c', 'raced', { lease: old, json: '"older"' });
  expect(fresh(await a.fetch('c', 'raced'))).toBe('"newer"');
});

test('two loads under one lease: the first is kept, a deletion refuses both', async () => {
  const [a, b] = [await openLayer(), await openLayer()];
  const [one, two] = [await leaseFor(a, 'both'), await leaseFor(b, 'both')];
  expect(two).toBe(one);
  a.drop('c', ['both']);
  a.store('c', 'both', { lease: one, json: '1' });
  expect(fresh(await a.fetch('c', 'both'))).toBeNull();
  b.store('c', 'both', { lease: two, json: '2' });
  expect(fresh(await b.fetch('c', 'both'))).toBeNull();
});

test('what was leased before a session began is not trusted: only its age can make it fresh', async () => {
  const [strict, lenient] = [await openLayer(), await openLayer({ unprovenMs: longAgo })];
  strict.store('c', 'before', { lease: await leaseFor(strict, 'before'), json: '1' });
  expect(fresh(await strict.fetch('c', 'before'))).toBe('1');
  for (const layer of [strict, lenient]) layer.beginSession();
  await strict.fetch('c', 'something, so that both have begun');
  await lenient.fetch('c', 'something, so that both have begun');
  expect(await strict.fetch('c', 'before')).toMatchObject({ kind: 'nothing', older: { json: '1' } });
  expect(await lenient.fetch('c', 'before')).toMatchObject({ kind: 'value', json: '1', trusted: false });
});

test('databases with a prefix of their own do not see each other', async () => {
  const [a, b] = [await openLayer({ prefix: 'one' }), await openLayer({ prefix: 'two' })];
  a.store('c', 'k', { lease: await leaseFor(a, 'k'), json: '1' });
  expect(fresh(await a.fetch('c', 'k'))).toBe('1');
  expect(await b.fetch('c', 'k')).toMatchObject({ kind: 'nothing', older: null });
});

test('a Redis that hangs is left alone after a moment, noticed again, and not trusted for what it held', async () => {
  const layer = await openLayer();
  const lenient = await openLayer({ unprovenMs: longAgo });
  layer.store('c', 'hung', { lease: await leaseFor(layer, 'hung'), json: '1' });
  expect(fresh(await layer.fetch('c', 'hung'))).toBe('1');
  process.kill(redis.pid, 'SIGSTOP');
  try {
    expect(await layer.fetch('c', 'hung')).toEqual({ kind: 'nothing', lease: null, older: null });
    await until(() => !layer.isUp());
    // Nobody waits for it any more.
    expect(await layer.fetch('c', 'hung')).toEqual({ kind: 'nothing', lease: null, older: null });
    // Lost, as far as anybody knows.
    for (const one of [layer, lenient]) one.drop('c', ['hung']);
    await until(() => !lenient.isUp());
  } finally {
    process.kill(redis.pid, 'SIGCONT');
  }
  await until(() => layer.isUp() && lenient.isUp());
  // Not even as something young: the deletion may have been lost.
  for (const one of [layer, lenient])
    expect(await one.fetch('c', 'hung')).toMatchObject({ kind: 'nothing', older: null });
});

test('a Redis that is killed and started again is used again, though it lost the scripts', async () => {
  const layer = await openLayer();
  layer.store('c', 'killed', { lease: await leaseFor(layer, 'killed'), json: '1' });
  expect(fresh(await layer.fetch('c', 'killed'))).toBe('1');
  const { port } = redis;
  await redis.kill();
  await until(() => !layer.isUp());
  expect(await layer.fetch('c', 'killed')).toEqual({ kind: 'nothing', lease: null, older: null });
  redis = await startRedisServer(program, port);
  await until(() => layer.isUp());
  layer.store('c', 'killed', { lease: await leaseFor(layer, 'killed'), json: '2' });
  expect(fresh(await layer.fetch('c', 'killed'))).toBe('2');
});
