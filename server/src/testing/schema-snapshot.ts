import type pg from 'pg';

const selectTables = `
  select c.oid, case when c.relnamespace = 'public'::regnamespace then '' else c.relnamespace::regnamespace || '.' end || c.relname as name,
         case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end as partitioned
    from pg_class c
   where c.relnamespace in ('public'::regnamespace, 'milliard_jobs'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition
     and c.relname <> 'schema_migrations'
   order by c.relnamespace <> 'public'::regnamespace, c.relname`;

const selectColumns = `
  select format('  %I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
           case when a.attnotnull then ' not null' else '' end,
           coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')) as line
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
   order by a.attnum`;

// PostgreSQL 18 lists NOT NULL as constraints (contype n), 15 does not; the columns above have it on both.
const selectConstraints = `
  select format('  constraint %I %s', conname, pg_get_constraintdef(oid)) as line
    from pg_constraint where conrelid = $1 and contype <> 'n'
   order by contype = 'p' desc, conname`;

const selectIndexes = `
  select pg_get_indexdef(i.indexrelid) || ';' as line
    from pg_index i join pg_class c on c.oid = i.indexrelid
   where i.indrelid = $1 and not exists (select from pg_constraint where conindid = i.indexrelid)
   order by c.relname`;

const selectFunctions = `
  select pg_get_functiondef(p.oid) as line from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.proname`;

/** The schema of a database as text, made from its catalogue: the same on every server version. Partitions are left out. */
export async function describeSchema(client: pg.Client): Promise<string> {
  const lines = async (text: string, ...values: unknown[]): Promise<string[]> =>
    (await client.query<{ line: string }>(text, values)).rows.map(({ line }) => line.trimEnd());

  const parts = [
    `-- Made from the catalogue by schema.db.test.ts. Renew it with MILLIARD_TEST_UPDATE_SNAPSHOTS=1 npm test.`,
  ];
  for (const definition of await lines(selectFunctions)) parts.push(`${definition};`);
  const { rows: tables } = await client.query<{ oid: number; name: string; partitioned: string | null }>(selectTables);
  for (const { oid, name, partitioned } of tables) {
    const body = [...(await lines(selectColumns, oid)), ...(await lines(selectConstraints, oid))].join(',\n');
    const by = partitioned === null ? '' : ` partition by ${partitioned}`;
    parts.push([`create table ${name} (\n${body}\n)${by};`, ...(await lines(selectIndexes, oid))].join('\n'));
  }
  return `${parts.join('\n\n')}\n`;
}
