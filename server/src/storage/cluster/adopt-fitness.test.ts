import { expect, test } from 'vitest';
import { type AdoptTable, effortDone, effortOf, remainingAdoptMs, wayOf } from './adopt.ts';
import { judgeCoordinatorAddress, judgeSingle } from './adopt-fitness.ts';
import type { AdoptFacts } from './adopt-queries.ts';

const fit: AdoptFacts = {
  version: 150_018,
  citus: null,
  preload: 'citus',
  walLevel: 'logical',
  preparedTransactions: 200,
  replicationSlots: 20,
  walSenders: 20,
  workerProcesses: 32,
  plugins: null,
  tables: ['public.orders'],
  isStandby: false,
  isSuperuser: true,
  available: '13.2-1',
  directWrites: [],
  triggers: [],
  foreignKeys: [],
  group: null,
};

test('a server with all that is needed has no fault', () => {
  expect(judgeSingle(fit, 3).faults).toEqual([]);
});

test.each<[Partial<AdoptFacts>, RegExp]>([
  [{ isStandby: true }, /standby: connect to its primary/],
  [{ isSuperuser: false }, /no superuser/],
  [{ available: null }, /install it on the server/],
  [{ preload: 'pg_stat_statements,citus' }, /'pg_stat_statements,citus': set it to citus, first in the list/],
  [{ walLevel: 'replica' }, /wal_level is replica/],
  [{ replicationSlots: 3 }, /max_replication_slots is 3: 4 are needed/],
  [{ walSenders: 3 }, /max_wal_senders is 3: 4 are needed/],
  [{ preparedTransactions: 0 }, /max_prepared_transactions is 0/],
  [{ plugins: 'pgoutput, test_decoding' }, /output_plugin_libraries/],
  [{ directWrites: ['usage_direct_inserted'] }, /milliard usage direct-writes disable/],
  [{ triggers: ['audit on orders'] }, /Drop them first: audit on orders/],
  [{ foreignKeys: ['fk on notes'] }, /Drop them first: fk on notes/],
  [{ citus: '13.2-1', group: 4 }, /leads to a worker/],
])('of a server with %j it says what to do', (facts, told) => {
  const { faults } = judgeSingle({ ...fit, ...facts }, 3);
  expect(faults).toEqual([expect.stringMatching(told)]);
});

test('an address that only this machine can reach serves no worker elsewhere', () => {
  const near = { host: '127.0.0.1', port: 5432 };
  const far = { host: 'db2', port: 5432 };
  expect(judgeCoordinatorAddress(near, [{ host: 'localhost', port: 5433 }])).toBeNull();
  expect(judgeCoordinatorAddress({ host: 'db1', port: 5432 }, [far])).toBeNull();
  expect(judgeCoordinatorAddress(near, [far])).toMatch(/--coordinator HOST:PORT/);
  expect(judgeCoordinatorAddress({ host: '', port: 5432 }, [far])).toMatch(/--coordinator HOST:PORT/);
});

const table: AdoptTable = {
  name: 'orders',
  kind: 'distributed',
  state: 'waiting',
  rowsEstimate: 10,
  bytes: 1_000,
  pieces: 28,
};

test('who waits for a table depends on how it gets to its place and how far it is', () => {
  expect(wayOf(table, 16)).toEqual({
    way: 'copied online to 16 shards of 28 partitions each',
    waits: expect.stringMatching(/^its users, some [\d.]+ s; its writers, some [\d.]+ s at the end$/),
  });
  expect(wayOf({ ...table, state: 'prepared' }, 16).waits).toMatch(/^its writers/);
  expect(wayOf({ ...table, state: 'done' }, 16).waits).toBe('nobody');
  expect(wayOf({ ...table, kind: 'coordinator' }, 16).waits).toBe('nobody');
});

test('the remaining time is as long as the effort so far took, and no table is done before its end', () => {
  const progress = { table, doneBytes: 250, totalBytes: 1_000, done: 250, total: 1_000, elapsedMs: 10_000 };
  expect(remainingAdoptMs(progress)).toBe(30_000);
  expect(remainingAdoptMs({ ...progress, done: 0 })).toBeNull();
  expect(effortDone(table, 3_600_000, 10 * table.bytes)).toBeLessThan(effortOf(table));
  expect(effortDone(table, 0, 0)).toBe(0);
});
