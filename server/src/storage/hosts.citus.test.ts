import { afterAll, beforeAll, expect, test } from 'vitest';
import { withAdmin } from '../testing/admin.ts';
import { findCitus } from '../testing/citus-cluster.ts';
import { type CitusNode, startCitusNode } from '../testing/citus-node.ts';
import { createTestClient } from '../testing/open-database.ts';
import { connect } from './connection.ts';
import { dynamic, sql } from './sql.ts';

// Two servers that know nothing of each other; only the first of them accepts writes.
let open: CitusNode;
let closed: CitusNode;

beforeAll(async () => {
  const start = () =>
    startCitusNode({ bin: findCitus() ?? '', role: 'worker', database: 'postgres', settings: { fsync: 'off' } });
  [open, closed] = await Promise.all([start(), start()]);
  await withAdmin(closed.url, (admin) => admin.query('alter database postgres set default_transaction_read_only = on'));
});
afterAll(() => Promise.all([open.remove(), closed.remove()]));

const both = (target: string): string =>
  `postgresql://milliard@127.0.0.1:${closed.port},127.0.0.1:${open.port}/postgres?target_session_attrs=${target}`;
const portOf = dynamic<{ port: number }>(sql`select inet_server_port() as port`);

test.each([
  ['any', () => closed],
  ['read-write', () => open],
  ['read-only', () => closed],
  ['primary', () => closed],
  ['prefer-standby', () => closed],
])('%s is honoured by pool, read clients, transactions and sessions', async (target, expected) => {
  const db = createTestClient(both(target));
  const port = [{ port: expected().port }];
  expect(await db.query(portOf)).toEqual(port);
  expect(await db.read(portOf)).toEqual(port);
  expect(await db.transaction((tx) => tx.run(portOf))).toEqual(port);
  expect(await db.session((session) => session.run(portOf))).toEqual(port);
  await db.close();
});

test('where no host will do, it says so and counts as a database that cannot be reached', async () => {
  const db = createTestClient(both('standby'));
  for (const work of [
    () => db.query(portOf),
    () => db.read(portOf),
    () => db.session((session) => session.run(portOf)),
  ])
    await expect(work()).rejects.toMatchObject({ code: 'storage_unavailable', fault: { kind: 'unavailable' } });
  const options = { applicationName: 'x', statementTimeoutMs: 0, connectTimeoutMs: 5_000 };
  await expect(connect({ ...options, url: both('standby') })).rejects.toThrow('target_session_attrs=standby');
  await db.close();
});

test('goes to the next host when its own is lost, with and without a pulse', async () => {
  for (const more of [{}, { pulse: {} }]) {
    const db = createTestClient(both('any'), more);
    expect(await db.query(portOf)).toEqual([{ port: closed.port }]);
    await closed.kill();
    const elsewhere = [{ port: open.port }];
    expect(await db.transaction((tx) => tx.run(portOf))).toEqual(elsewhere);
    expect(await db.read(portOf)).toEqual(elsewhere);
    expect(await db.query(portOf)).toEqual(elsewhere);
    await db.close();
    await closed.start();
  }
});
