import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { withAdmin } from '../testing/admin.ts';
import { onCitus } from '../testing/on-citus.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { knownMigrations, migrate, pendingMigrations } from './migrator.ts';

const appliedIn = (url: string): Promise<string[]> =>
  withAdmin(url, async (admin) =>
    (await admin.query('select name from schema_migrations order by id')).rows.map(({ name }) => name),
  );

describe('migrate', () => {
  test('applies every migration once, in order, and says which', async () => {
    await using database = await createTestDatabase({ migrated: false });
    const lines: string[] = [];
    expect(await withAdmin(database.url, pendingMigrations)).toEqual(knownMigrations());
    expect(await migrate({ url: database.url, log: (line) => lines.push(line) })).toEqual(knownMigrations());
    // On Citus it tells of the tables it distributes, too.
    expect(lines.filter((line) => line.startsWith('applied'))).toEqual(
      knownMigrations().map((name) => `applied ${name}`),
    );
    expect(await appliedIn(database.url)).toEqual(knownMigrations());
    expect(await withAdmin(database.url, pendingMigrations)).toEqual([]);
    expect(await migrate({ url: database.url })).toEqual([]);
    expect(await appliedIn(database.url)).toEqual(knownMigrations());
  });

  test.skipIf(!onCitus)('lets no node of a cluster compile plans', async () => {
    await using database = await createTestDatabase({ migrated: false });
    await migrate({ url: database.url });
    const { rows } = await withAdmin(database.url, (admin) =>
      admin.query<{ result: string }>(`select result from run_command_on_all_nodes('show jit')`),
    );
    expect(rows.map(({ result }) => result)).toEqual(['off', 'off', 'off']);
  });

  test('may be started by several processes at once: one applies, the others find it done', async () => {
    await using database = await createTestDatabase({ migrated: false });
    const results = await Promise.all(Array.from({ length: 4 }, () => migrate({ url: database.url })));
    expect(results.flat()).toEqual(knownMigrations());
    expect(await appliedIn(database.url)).toEqual(knownMigrations());
  });

  test('waits for another that is under way', async () => {
    await using database = await createTestDatabase({ migrated: false });
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    await other.query(`select pg_advisory_lock(hashtext('milliard migrate'))`);
    let done = false;
    const migrating = migrate({ url: database.url }).then(() => {
      done = true;
    });
    await withAdmin(database.url, async (admin) => {
      const waiting = () =>
        admin.query(`select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`);
      while ((await waiting()).rowCount === 0);
    });
    expect(done).toBe(false);
    await other.end();
    await migrating;
    expect(await appliedIn(database.url)).toEqual(knownMigrations());
  });

  test('refuses a database that a newer version migrated, and changes nothing there', async () => {
    await using database = await createTestDatabase();
    await withAdmin(database.url, (admin) =>
      admin.query(`insert into schema_migrations (name, run_on) values ('9999_from_the_future', now())`),
    );
    await expect(migrate({ url: database.url })).rejects.toMatchObject({
      code: 'schema_mismatch',
      message: expect.stringContaining('9999_from_the_future'),
    });
    await expect(withAdmin(database.url, pendingMigrations)).rejects.toMatchObject({ code: 'schema_mismatch' });
    expect(await appliedIn(database.url)).toEqual([...knownMigrations(), '9999_from_the_future']);
  });

  test('says what is wrong when there is no database', async () => {
    await expect(migrate({ url: 'postgresql://nobody@127.0.0.1:1/none' })).rejects.toMatchObject({
      code: 'storage_unavailable',
    });
    await using database = await createTestDatabase();
    const missing = new URL(database.url);
    missing.pathname = '/no_such_database';
    await expect(migrate({ url: missing.href })).rejects.toThrow('The database that DATABASE_URL names does not exist');
  });
});
