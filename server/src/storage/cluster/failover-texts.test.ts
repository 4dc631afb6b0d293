import { expect, test } from 'vitest';
import type { FailoverPlan } from './failover.ts';
import { stateBy } from './failover-line.ts';
import { type Aftermath, whatRemains } from './failover-texts.ts';

const worker: FailoverPlan = {
  ...{ role: 'worker', lost: 'stopped', promotes: true, redirects: true, unreplayedBytes: 0, checks: [] },
};
const aftermath: Aftermath = {
  ...{ node: { host: 'db1', port: 5432 }, to: { host: 'db1b', port: 5432 }, plan: worker },
  connection: { url: 'postgresql://milliard:secret@db0/milliard' },
  ...{ waits: { for: '', isLeft: false }, unaware: [], preparedLeft: 0 },
};

test('of a worker only the old server is left to be dealt with', () => {
  expect(whatRemains(aftermath)).toEqual([
    'db1:5432 must not come back as a primary: make it a standby of db1b:5432 (pg_rewind, or pg_basebackup --write-recovery-conf).',
  ]);
});

test('whom commits waited for, who was not told and what is still prepared is said', () => {
  const all = whatRemains({
    ...aftermath,
    ...{ waits: { for: 'db1b', isLeft: false }, unaware: ['db2:5432'], preparedLeft: 3 },
  });
  expect(all).toHaveLength(3);
  expect(all[0]).toContain('db2:5432 did not learn');
  expect(all[1]).toContain('3 transactions are still prepared');
  expect(all[2]).toContain("set synchronous_standby_names = 'db1b' there again");
  expect(whatRemains({ ...aftermath, waits: { for: 'db9', isLeft: true } })[0]).toContain(
    "Commits of db1b:5432 wait for the standbys 'db9'",
  );
});

test('of a single server or the coordinator, where servers have to go, without the password', () => {
  const single = { ...aftermath, plan: { ...worker, role: 'single' as const } };
  expect(whatRemains(single)[0]).toMatch(
    /^Start servers with DATABASE_URL=postgresql:\/\/milliard:\*\*\*@db1b:5432\/milliard, or name both hosts/,
  );
  const coordinator = { ...aftermath, plan: { ...worker, role: 'coordinator' as const } };
  expect(whatRemains(coordinator)[0]).toContain('Servers that go by a worker');
});

test('a DATABASE_URL that names the new server needs no change', () => {
  const connection = { url: 'postgresql://milliard@db1,db1b/milliard?target_session_attrs=read-write' };
  expect(whatRemains({ ...aftermath, connection, plan: { ...worker, role: 'single' } })[0]).toBe(
    'DATABASE_URL names db1b:5432: servers that have it go there by themselves.',
  );
});

const coded = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more });

test('a refused connection tells of a server that is off, silence of nothing, any word of a server that is there', () => {
  expect(stateBy(coded('ECONNREFUSED'))).toBe('stopped');
  expect(stateBy(new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]))).toBe('stopped');
  expect(stateBy(new AggregateError([coded('ECONNREFUSED'), coded('ETIMEDOUT')]))).toBe('silent');
  expect(stateBy(coded('EHOSTUNREACH'))).toBe('silent');
  expect(stateBy(new Error('timeout expired'))).toBe('silent');
  expect(stateBy(coded('57P03', { severity: 'FATAL' }))).toBe('starting');
  expect(stateBy(coded('28P01', { severity: 'FATAL' }))).toBe('primary');
});
