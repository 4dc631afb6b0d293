import { expect, test } from 'vitest';
import { onCitus } from '../../testing/on-citus.ts';
import { createTestClient, openTestDatabase } from '../../testing/open-database.ts';
import { withHost } from '../coordinator.ts';
import { dynamic, sql } from '../sql.ts';
import { databaseIdentity } from './database-identity.ts';

const { db, url } = await openTestDatabase();

test('two databases have two identities, each the same for everybody', async () => {
  const [again, other] = [createTestClient(url), createTestClient((await openTestDatabase()).url)];
  expect(await databaseIdentity(again)).toBe(await databaseIdentity(db));
  expect(await databaseIdentity(other)).not.toBe(await databaseIdentity(db));
  await Promise.all([again.close(), other.close()]);
});

test.runIf(onCitus)('a cluster has one, whichever node is asked', async () => {
  const workers = await db.query(
    dynamic<{ host: string; port: number }>(
      sql`select nodename as host, nodeport as port from pg_dist_node where groupid > 0`,
    ),
  );
  expect(workers.length).toBe(2);
  for (const worker of workers) {
    const there = createTestClient(withHost(url, worker));
    expect(await databaseIdentity(there)).toBe(await databaseIdentity(db));
    await there.close();
  }
});
