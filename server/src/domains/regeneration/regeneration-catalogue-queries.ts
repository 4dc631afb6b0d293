import { type Statement, statement } from '../../storage/sql.ts';
import type { TargetFacts } from './regeneration-target.ts';
import type { TableName } from './table-name.ts';

/** The relation of exactly this name, or where no schema is given the one that the search path finds. */
export const findRelation = statement<{ oid: number; schema: string; table: string }, [TableName]>(
  'regeneration_relation',
  `select c.oid::bigint::float8 as oid, n.nspname as schema, c.relname as "table"
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relname = $1 and case when $2::text is null then pg_table_is_visible(c.oid) else n.nspname = $2 end`,
  ({ schema, table }) => [table, schema],
);

/** Tables that may have been meant: the same name in another schema or spelling. */
export const similarTables = statement<{ schema: string; table: string }, [TableName]>(
  'regeneration_similar',
  `select n.nspname as schema, c.relname as "table"
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
      and (lower(c.relname) = lower($1) or lower(n.nspname || '.' || c.relname) = lower($1))
    order by 1, 2 limit 5`,
  ({ table }) => [table],
);

export const columnNames = statement<{ column: string; isUuid: boolean }, [number]>(
  'regeneration_columns',
  `select attname as "column", atttypid = 'uuid'::regtype as "isUuid"
     from pg_attribute where attrelid = $1::bigint::oid and attnum > 0 and not attisdropped order by attnum`,
  (oid) => [oid],
);

type Row = TargetFacts;

/** Everything that decides, at one moment. No row = the table has no such column. */
export const selectFacts: (oid: number, column: string) => Statement<Row> = statement<Row, [number, string]>(
  'regeneration_facts',
  `with target as (
     select c.oid, c.relname, c.relkind, c.relpersistence, c.relreplident, n.nspname, n.oid as namespace, a.attnum, a.attname,
            a.atttypid, a.atttypmod, a.attgenerated,
            coalesce((select conkey from pg_constraint p where p.conrelid = c.oid and p.contype = 'p'), '{}') as key
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.oid = $1::bigint::oid and a.attname = $2),
   tree as (
     select relid from target t, pg_partition_tree(t.oid)
     union select relid from target t, pg_partition_ancestors(t.oid) as relid
     union select oid from target),
   own as (
     select i.indexrelid, i.indisunique, i.indisvalid, i.indexprs is null and i.indpred is null as plain, i.indnkeyatts,
            c.relname, n.nspname,
            (select con.conname from pg_constraint con where con.conindid = i.indexrelid and con.conrelid = i.indrelid and con.contype = 'u') as con
       from target t join pg_index i on i.indrelid = t.oid join pg_class c on c.oid = i.indexrelid
       join pg_namespace n on n.oid = c.relnamespace
      where not i.indisprimary
        and (t.attnum = any(i.indkey::int2[]) or exists (
              select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                and d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.refobjsubid = t.attnum)))
   select t.oid::bigint::float8 as "tableOid", t.nspname as schema, t.relname as "table", t.attname as "column", t.relkind as "relationKind",
     t.relpersistence = 't' as "isTemporary",
     t.nspname in ('pg_catalog', 'information_schema', 'pg_toast', 'milliard_jobs') as "isSystem",
     format_type(t.atttypid, t.atttypmod) as "columnType",
     (with recursive base (oid) as (
        select t.atttypid union all select ty.typbasetype from base b join pg_type ty on ty.oid = b.oid where ty.typtype = 'd')
      select coalesce(bool_or(oid = 'uuid'::regtype), false) from base) as "isUuid",
     t.attgenerated <> '' as "isGenerated",
     array(select a.attname::text from unnest(t.key) with ordinality k (attnum, n)
             join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum order by k.n) as "keyColumns",
     array(select format('%I on %s', f.conname, f.conrelid::regclass) from pg_constraint f
            where f.contype = 'f' and f.conparentid = 0
              and (f.conrelid = t.oid and t.attnum = any(f.conkey) or f.confrelid = t.oid and t.attnum = any(f.confkey))
            order by 1) as "foreignKeys",
     array(select p.partrelid::regclass::text from pg_partitioned_table p join tree on tree.relid = p.partrelid
            join pg_attribute a on a.attrelid = p.partrelid and a.attname = t.attname
           where a.attnum = any(p.partattrs) or p.partexprs is not null and exists (
              select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = p.partrelid and d.deptype = 'i'
                and d.refclassid = 'pg_class'::regclass and d.refobjid = p.partrelid and d.refobjsubid = 0 and d.objsubid = a.attnum)
           order by 1) as "partitionedBy",
     array(select i.inhrelid::regclass::text from pg_inherits i where i.inhparent = t.oid and t.relkind = 'r' order by 1) as children,
     array(select r.rulename::text from pg_rewrite r where r.ev_class in (select relid from tree) and r.ev_type = '2' and r.ev_enabled <> 'D'
             and t.relkind in ('r', 'p') order by 1) as rules,
     row_security_active(t.oid) as "rowSecurityActive",
     array_remove(array[
       case when not has_schema_privilege(t.namespace, 'usage') then format('usage on schema %I', t.nspname) end,
       case when not has_column_privilege(t.oid, t.attnum, 'update') then format('update on column %I', t.attname) end,
       case when not has_column_privilege(t.oid, t.attnum, 'select') then format('select on column %I', t.attname) end,
       case when exists (select from unnest(t.key) k where not has_column_privilege(t.oid, k, 'select'))
            then 'select on the primary key' end,
       case when to_regnamespace('milliard_jobs') is null
            then case when not has_database_privilege(current_database(), 'create')
                      then format('create on database %I (for the schema milliard_jobs, which holds the run)', current_database()) end
            when not has_schema_privilege('milliard_jobs', 'create') or not has_schema_privilege('milliard_jobs', 'usage')
            then 'create and usage on schema milliard_jobs' end], null) as "missingPrivileges",
     (select count(*)::int from pg_subscription_rel s where s.srrelid in (select relid from tree)) as subscriptions,
     array(select distinct p.pubname::text from pg_publication p
            where p.pubupdate and (p.puballtables or exists (
                    select from pg_publication_tables pt join pg_class c on c.relname = pt.tablename
                      join pg_namespace n on n.oid = c.relnamespace and n.nspname = pt.schemaname
                     where pt.pubname = p.pubname and c.oid in (select relid from tree)))
              and t.relkind in ('r', 'p') and t.relpersistence = 'p' order by 1) as publications,
     t.relreplident as "replicaIdentity",
     false as "isCitusTable",
     pg_is_in_recovery() as "isStandby", current_setting('server_version_num')::int as "serverVersion",
     array(select distinct g.tgname::text from pg_trigger g
            where g.tgrelid in (select relid from tree) and not g.tgisinternal and g.tgenabled <> 'D' and (g.tgtype & 16) > 0
              -- of triggers that name columns, those that name this one
              and (cardinality(g.tgattr::int2[]) = 0 or g.tgrelid = t.oid and t.attnum = any(g.tgattr::int2[]) or g.tgrelid <> t.oid)
              and not (current_setting('session_replication_role') = 'replica' and g.tgenabled = 'O')
            order by 1) as triggers,
     coalesce((select jsonb_agg(jsonb_build_object('name', o.relname, 'schema', o.nspname, 'isPlain', o.plain, 'constraint', o.con,
              'columns', (select jsonb_agg(pg_get_indexdef(o.indexrelid, n, true) order by n) from generate_series(1, o.indnkeyatts) n)) order by o.relname)
        from own o where o.indisunique), '[]') as "uniqueIndexes",
     array(select distinct f.conrelid::regclass::text from pg_constraint f
            where f.contype = 'f' and f.confrelid = t.oid and f.conparentid = 0 order by 1) as "referencingTables",
     array(select format('%I.%I', o.nspname, o.relname) from own o where o.indisvalid order by 1) as indexes
   from target t`,
  (oid, column) => [oid, column],
);

export const findCitusTables = statement<{ installed: boolean }>(
  'regeneration_citus',
  `select to_regclass('pg_catalog.pg_dist_partition') is not null as installed`,
);

export const isCitusTable = statement<{ distributed: boolean }, [number]>(
  'regeneration_citus_table',
  `select exists (select from pg_catalog.pg_dist_partition where logicalrelid = $1::bigint::oid) as distributed`,
  (oid) => [oid],
);
