import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Instant } from '../core/time.ts';
import { withAdmin } from '../testing/admin.ts';
import { openTestDatabase } from '../testing/open-database.ts';
import { describeSchema } from '../testing/schema-snapshot.ts';
import { distributionOf } from './distribution.ts';
import { ensureMonths, readyMonths } from './partitions.ts';
import { dynamic, sql } from './sql.ts';

const { db, url } = await openTestDatabase();
const snapshotFile = fileURLToPath(new URL('../../schema.snapshot.sql', import.meta.url));

test('the migrations make the schema of schema.snapshot.sql', async () => {
  const schema = await withAdmin(url, describeSchema);
  if (process.env['MILLIARD_TEST_UPDATE_SNAPSHOTS'] === '1') writeFileSync(snapshotFile, schema);
  const snapshot = existsSync(snapshotFile) ? readFileSync(snapshotFile, 'utf8') : '';
  expect(
    schema,
    'The schema changed. Review it, then run MILLIARD_TEST_UPDATE_SNAPSHOTS=1 npm test and commit server/schema.snapshot.sql.',
  ).toBe(snapshot);
});

test('partitions are no part of the snapshot, whichever there are', async () => {
  const before = await withAdmin(url, describeSchema);
  await ensureMonths(db, readyMonths(Date.parse('2025-06-30T00:00:00Z') as Instant));
  expect(await withAdmin(url, describeSchema)).toBe(before);
});

describe('the distribution list', () => {
  // The migrator's own table is managed by its tool and stays on the coordinator.
  const tables = () =>
    db.query(
      dynamic<{
        name: string;
      }>(sql`select case when relnamespace = 'public'::regnamespace then '' else relnamespace::regnamespace || '.' end || relname as name
        from pg_class where relnamespace in ('public'::regnamespace, 'milliard_jobs'::regnamespace)
         and relkind in ('r', 'p') and not relispartition and relname <> 'schema_migrations'`),
    );

  test('names every table of the schema and no other', async () => {
    expect((await tables()).map(({ name }) => name).sort()).toEqual(Object.keys(distributionOf).sort());
  });

  test('distributes only tables with a bucket that is never null and in every unique key', async () => {
    const distributed = Object.entries(distributionOf).flatMap(([name, kind]) =>
      kind === 'distributed' ? [name] : [],
    );
    const columns = await db.query(
      dynamic<{ table: string; type: string; notNull: boolean }>(sql`
        select attrelid::regclass::text as table, format_type(atttypid, atttypmod) as type, attnotnull as "notNull"
          from pg_attribute where attname = 'bucket' and attrelid = any(${distributed}::text[]::regclass[]) order by 1`),
    );
    expect(columns).toEqual(distributed.sort().map((table) => ({ table, type: 'smallint', notNull: true })));
    const keys = await db.query(
      dynamic<{ index: string; hasBucket: boolean }>(sql`
        select i.indexrelid::regclass::text as index,
               exists (select from pg_attribute a where a.attrelid = i.indrelid and a.attname = 'bucket' and a.attnum = any(i.indkey)) as "hasBucket"
          from pg_index i where i.indisunique and i.indrelid = any(${distributed}::text[]::regclass[])`),
    );
    expect(keys.length).toBeGreaterThanOrEqual(distributed.length);
    expect(keys.filter(({ hasBucket }) => !hasBucket)).toEqual([]);
    const foreign = await db.query(
      dynamic<{
        name: string;
        definition: string;
      }>(sql`select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
        where contype in ('f', 'x') and conrelid = any(${distributed}::text[]::regclass[])`),
    );
    expect(foreign.filter(({ definition }) => !definition.includes('bucket'))).toEqual([]);
  });

  test('has no trigger, no sequence and no default that differs between nodes on a distributed table', async () => {
    const distributed = Object.entries(distributionOf).flatMap(([name, kind]) =>
      kind === 'distributed' ? [name] : [],
    );
    const found = await db.query(
      dynamic(sql`select tgname::text as name from pg_trigger where not tgisinternal and tgrelid = any(${distributed}::text[]::regclass[])
        union all select attrelid::regclass || '.' || attname from pg_attribute where (attidentity <> '' or attgenerated <> '' or atthasdef) and attnum > 0
          and attrelid = any(${distributed}::text[]::regclass[])`),
    );
    expect(found).toEqual([]);
  });
});
