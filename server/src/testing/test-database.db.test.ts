import { expect, test } from 'vitest';
import { withAdmin } from './admin.ts';
import { createTestDatabase, testDatabase } from './test-database.ts';

const shared = await testDatabase();

const tablesOf = (url: string) =>
  withAdmin(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public'`,
    );
    return rows.map(({ name }) => name);
  });

test('a test database is migrated', async () => {
  expect(await tablesOf(shared.url)).toContain('orders');
});

test('an unmigrated test database is empty', async () => {
  await using database = await createTestDatabase({ migrated: false });
  expect(await tablesOf(database.url)).toEqual([]);
});

test('what one test database holds, another does not see', async () => {
  await using other = await createTestDatabase();
  await withAdmin(other.url, (client) => client.query('create table only_here ()'));
  expect(await tablesOf(other.url)).toContain('only_here');
  expect(await tablesOf(shared.url)).not.toContain('only_here');
});

test('a connection left open fails the drop, names itself, and the database is gone all the same', async () => {
  const database = await createTestDatabase({ migrated: false });
  await withAdmin(database.url, async (left) => {
    left.on('error', () => {});
    await left.query('select 42 as forgotten');
    await expect(database.drop()).rejects.toThrow(/1 connections were left open.*\n.*select 42 as forgotten/);
  }).catch(() => {});
  await expect(withAdmin(database.url, async () => 'connected')).rejects.toThrow('does not exist');
});
