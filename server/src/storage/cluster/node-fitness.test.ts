import { expect, test } from 'vitest';
import type { ServerFacts } from './cluster-queries.ts';
import { judgeServer } from './node-fitness.ts';

const good: ServerFacts = {
  ...{ version: 150_018, citus: '13.2-1', preload: 'citus,pg_stat_statements', walLevel: 'logical', isStandby: false },
  ...{ preparedTransactions: 200, replicationSlots: 20, walSenders: 20, workerProcesses: 32 },
  ...{ plugins: 'pgoutput,test_decoding,citus', tables: [] },
};

test('a server like the coordinator fits, another minor version included', () => {
  expect(judgeServer({ ...good, version: 150_020 }, good, 0).faults).toEqual([]);
  expect(judgeServer({ ...good, plugins: null }, { ...good, tables: ['public.orders'] }, 0).faults).toEqual([]);
});

test.each<[Partial<ServerFacts>, string]>([
  [{ version: 160_002 }, 'it is PostgreSQL 16, the coordinator 15'],
  [{ citus: null }, 'CREATE EXTENSION citus'],
  [{ citus: '12.1-1' }, 'ALTER EXTENSION citus UPDATE'],
  [{ preload: 'pg_stat_statements,citus' }, 'must be the first'],
  [{ preload: '' }, 'must be the first'],
  [{ walLevel: 'replica' }, 'moves need logical'],
  [{ preparedTransactions: 0 }, "max_prepared_transactions is 0, less than the coordinator's 200"],
  [{ workerProcesses: 8 }, 'max_worker_processes is 8'],
  [{ plugins: 'pgoutput' }, 'splits need'],
  [{ tables: ['public.things'] }, 'its database has tables: public.things'],
  [{ isStandby: true }, 'it is a standby'],
])('%j does not', (difference, fault) => {
  expect(judgeServer({ ...good, ...difference }, good, 0).faults).toEqual([expect.stringContaining(fault)]);
});

test('every reason is told at once; a node of another cluster is one', () => {
  expect(judgeServer({ ...good, walLevel: 'minimal', citus: null }, good, 3).faults).toHaveLength(3);
});
