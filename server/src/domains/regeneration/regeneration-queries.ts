import type { RunId } from '../../jobs/job.ts';
import { dynamic, type Statement, sql, statement } from '../../storage/sql.ts';
import { type OldValues, oldValues } from './regeneration-plan.ts';

/** The table and column of a run, names as the catalogue has them. */
export interface Target {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly keyColumns: readonly string[];
  readonly isPartitioned: boolean;
}

const stored = (values: OldValues) => sql.id('milliard_jobs', values.name);
const target = ({ schema, table }: Target) => sql.id(schema, table);
/** Rows of tables that inherit from it have other keys; partitions are its own rows. */
const only = ({ isPartitioned }: Target) => (isPartitioned ? sql`` : sql`only `);
const keysOf = ({ keyColumns }: Target) => sql.join(keyColumns.map((name) => sql`t.${sql.id(name)}`));
const storedKey = (n: number) => sql.id(`k${n + 1}`);
const keysAs = ({ keyColumns }: Target) =>
  sql.join(keyColumns.map((name, n) => sql`t.${sql.id(name)} as ${storedKey(n)}`));

/** Room for sorting and hashing, and the larger of it and what the server gives. */
export const giveMemory = statement(
  'regeneration_memory',
  `select set_config(name, greatest(setting::bigint, 65536)::text, true) from pg_settings
    where name in ('work_mem', 'maintenance_work_mem')`,
);

/**
 * Copies the key and the value of every row that has one, numbered in the order of the key: what this one statement sees is
 * "the values visible at the start".
 * @param atMost rows; null = all
 */
export const copyValues = (of: Target, into: OldValues, atMost: number | null): Statement<never> =>
  dynamic(sql`
    create table ${stored(into)} as
    select row_number() over (order by ${keysOf(of)}) as n, ${keysAs(of)}, t.${sql.id(of.column)} as old
      from ${only(of)}${target(of)} t where t.${sql.id(of.column)} is not null
      ${atMost === null ? sql`` : sql`order by ${keysOf(of)} limit ${sql.lit(atMost)}`}`);

/** The same for rows that still, or again, have one of the values of `from`, whatever their key. */
export const copyLeftOvers = (of: Target, from: OldValues, into: OldValues): Statement<never> =>
  dynamic(sql`
    create table ${stored(into)} as
    select row_number() over (order by ${keysOf(of)}) as n, ${keysAs(of)}, t.${sql.id(of.column)} as old
      from ${only(of)}${target(of)} t
     where exists (select from ${stored(from)} b where b.old = t.${sql.id(of.column)})`);

export const numberValues = (values: OldValues): Statement<never> =>
  dynamic(sql`alter table ${stored(values)} add primary key (n)`);

export const analyzeValues = (values: OldValues): Statement<never> => dynamic(sql`analyze ${stored(values)}`);

/** Secrets stand in it: nobody but the owner reads it, whatever default privileges say. */
export const hideValues = (values: OldValues): Statement<never> =>
  dynamic(sql`
    do ${sql.lit(`begin
      execute (select coalesce(string_agg(format('revoke all on milliard_jobs.%I from %s;', '${values.name}',
                 case when g.grantee = 0 then 'public' else g.grantee::regrole::text end), ''), '')
                || 'select'
          from pg_class c, aclexplode(c.relacl) g
         where c.oid = 'milliard_jobs.${values.name}'::regclass and g.grantee <> c.relowner);
    end`)}`);

export const dropValues = (values: OldValues): Statement<never> => dynamic(sql`drop table if exists ${stored(values)}`);

/** How many values there are; no row = no such table. */
export const countValues = (values: OldValues): Statement<{ rows: bigint }> =>
  dynamic(sql<{ rows: bigint }>`select coalesce(max(n), 0) as rows from ${stored(values)}`);

export const valuesExist = statement<{ found: boolean }, [OldValues]>(
  'regeneration_values_exist',
  `select to_regclass('milliard_jobs.' || $1) is not null as found`,
  ({ name }) => [name],
);

/** The schema of the jobs, where a rehearsal is the first that needs it. */
export const makeSchema = statement<never>('regeneration_schema', 'create schema if not exists milliard_jobs');

/** The latest pass that the engine knows of, and what was done in all of them. */
export const presentPass = statement<{ pass: number; doneRows: bigint }, [RunId]>(
  'regeneration_pass',
  `select coalesce(max((cursor ->> 0)::int), 1) as pass, coalesce(sum(done_rows), 0)::bigint as "doneRows"
     from milliard_jobs.job_ranges where run_id = $1`,
  (runId) => [runId],
);

/** Tables of left-overs that a run made, oldest first. */
export const leftOverTables = statement<{ name: string }, [RunId]>(
  'regeneration_left_overs',
  `select c.relname as name from pg_class c where c.relnamespace = to_regnamespace('milliard_jobs') and c.relkind = 'r'
      and starts_with(c.relname, $1) order by length(c.relname), c.relname`,
  (runId) => [oldValues.leftOverPrefix(runId)],
);

/**
 * For this transaction: each old value of a batch is looked up by its key. Left to itself the planner reads the whole table for
 * a batch, merged or hashed, which doubled the time of a run.
 */
export const lookUpByKey = statement(
  'regeneration_planner',
  `select set_config(name, 'off', true)
     from unnest(array['enable_hashjoin', 'enable_mergejoin', 'enable_seqscan', 'enable_bitmapscan', 'enable_sort']) name`,
);

/** For this transaction: two large sets are compared as a whole. */
export const compareAsWhole = statement(
  'regeneration_planner_whole',
  `select set_config(name, 'off', true) from unnest(array['enable_nestloop', 'enable_mergejoin']) name`,
);

export interface Stretch {
  readonly values: OldValues;
  /** Behind this number. */
  readonly after: number;
  /** Up to and with this one. */
  readonly last: number;
}

/**
 * Gives the rows of a stretch new values, those that still have the old one. `is not distinct from` cannot be looked up in an
 * index of the column: the row is found by its key, and what else has that value is left to the sweeps.
 */
export const replaceValues = (of: Target, { values, after, last }: Stretch): Statement<{ replaced: bigint }> => {
  const sameKey = sql.join(
    of.keyColumns.map((name, n) => sql`t.${sql.id(name)} = b.${storedKey(n)}`),
    sql` and `,
  );
  return dynamic(sql<{ replaced: bigint }>`
    with replaced as (
      update ${only(of)}${target(of)} t set ${sql.id(of.column)} = gen_random_uuid()
        from ${stored(values)} b
       where b.n > ${after}::bigint and b.n <= ${last}::bigint and ${sameKey} and t.${sql.id(of.column)} is not distinct from b.old
      returning t.${sql.id(of.column)} is distinct from b.old as done)
    select count(*) filter (where done) as replaced from replaced`);
};

/** The key of one row, for people: `id=42`, `area=7, seat=A1`. */
export const keyOf = (of: Target, values: OldValues, n: number): Statement<{ key: string }> =>
  dynamic(sql<{ key: string }>`select ${keyText(of, 'b')} as key from ${stored(values)} b where b.n = ${n}::bigint`);

/** The keys of all of them, at most `limit`. */
export const keysIn = (of: Target, values: OldValues, limit: number): Statement<{ key: string }> =>
  dynamic(sql<{ key: string }>`select ${keyText(of, 'b')} as key from ${stored(values)} b order by n limit ${limit}`);

const keyText = ({ keyColumns }: Target, alias: string) =>
  sql`concat_ws(', ', ${sql.join(
    keyColumns.map((name, n) => sql`${sql.lit(`${name}=`)} || ${sql.id(alias)}.${storedKey(n)}::text`),
  )})`;

/** The proof: rows that have one of the values, whatever their key, at one instant. */
export const countLeft = (of: Target, from: OldValues): Statement<{ rows: bigint }> =>
  dynamic(sql<{ rows: bigint }>`
    select count(*) as rows from ${only(of)}${target(of)} t
     where exists (select from ${stored(from)} b where b.old = t.${sql.id(of.column)})`);

export const countRows = (of: Target): Statement<{ rows: bigint }> =>
  dynamic(sql<{ rows: bigint }>`select count(${sql.id(of.column)}) as rows from ${only(of)}${target(of)}`);

export interface Sizes {
  readonly tableBytes: bigint;
  readonly indexBytes: bigint;
}

export const sizes = statement<Sizes, [number]>(
  'regeneration_sizes',
  `select coalesce(sum(pg_table_size(relid)), 0)::bigint as "tableBytes", coalesce(sum(pg_indexes_size(relid)), 0)::bigint as "indexBytes"
     from (select relid from pg_partition_tree($1::bigint::oid) union select $1::bigint::oid) t (relid)`,
  (oid) => [oid],
);

/** Rows as the last ANALYZE knew them, partitions added up; null = it was never analyzed. */
export const estimatedRows = statement<{ rows: number | null }, [number]>(
  'regeneration_estimate',
  `select case when bool_or(c.reltuples < 0) then null else sum(c.reltuples) end as rows
     from (select relid from pg_partition_tree($1::bigint::oid) where isleaf union select $1::bigint::oid) t (relid)
     join pg_class c on c.oid = t.relid and c.relkind = 'r'`,
  (oid) => [oid],
);
