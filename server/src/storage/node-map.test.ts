import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { silentLogger } from '../core/ports.ts';
import { type NodeMap, openNodeMap, trustedMs } from './node-map.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const [first, second] = [0 as Bucket, 1 as Bucket];
let rows: object[];
let isLost: boolean;

async function openMap(): Promise<NodeMap> {
  rows = [{ nodes: [1, 2], addresses: [{ node: 1, host: 'db1', port: 5432 }] }];
  isLost = false;
  const query = async <Row>(): Promise<Row[]> => {
    if (isLost) throw new Error('no coordinator');
    return rows as Row[];
  };
  return openNodeMap({ db: { query }, logger: silentLogger });
}

test('knows the node of a bucket and where it listens, and follows at the next look', async () => {
  const map = await openMap();
  expect([map.nodeOf(first), map.nodeOf(second), map.looks()]).toEqual([1, 2, 1]);
  expect(map.addressOf(1)).toEqual({ host: 'db1', port: 5432 });
  // Not told of all shards, or not there at all.
  expect(map.addressOf(2)).toBeNull();
  rows = [{ nodes: [2, 2], addresses: [{ node: 2, host: 'db2', port: 5433 }] }];
  await vi.advanceTimersByTimeAsync(10_000);
  expect([map.nodeOf(first), map.addressOf(1), map.addressOf(2), map.looks()]).toEqual([
    2,
    null,
    { host: 'db2', port: 5433 },
    2,
  ]);
  map.close();
});

test('is trusted for twenty seconds after it was last asked for, by either clock', async () => {
  const map = await openMap();
  isLost = true;
  await vi.advanceTimersByTimeAsync(trustedMs - 1);
  expect(map.addressOf(1)).not.toBeNull();
  await vi.advanceTimersByTimeAsync(1);
  expect(map.addressOf(1)).toBeNull();
  expect(map.nodeOf(first)).toBe(1);
  isLost = false;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(map.addressOf(1)).not.toBeNull();
  // A machine that slept: the steady clock stood still.
  vi.setSystemTime(Date.now() + trustedMs);
  expect(map.addressOf(1)).toBeNull();
  map.close();
});

test('has no nodes while the tables are not distributed', async () => {
  const map = await openMap();
  rows = [];
  await vi.advanceTimersByTimeAsync(10_000);
  expect([map.nodeOf(first), map.addressOf(0), map.addressOf(1)]).toEqual([0, null, null]);
  map.close();
});
