import type { NodeAddress } from '../../core/cluster.ts';
import type { Instant } from '../../core/time.ts';
import type { Run } from '../coordinator.ts';
import { addLocal } from '../distribution-step.ts';
import { dynamic, type Statement, sql, statement } from '../sql.ts';
import type { OldProcess } from './adopt.ts';
import type { ServerFacts } from './cluster-queries.ts';

/** What the single server is, beside what every node has to be. */
export interface AdoptFacts extends ServerFacts {
  readonly isSuperuser: boolean;
  /** The version of the extension that could be created. */
  readonly available: string | null;
  readonly directWrites: readonly string[];
  /** Others, on tables that are to be distributed. */
  readonly triggers: readonly string[];
  readonly foreignKeys: readonly string[];
  /** Of a cluster; null = it is none. */
  readonly group: number | null;
}

export const selectAdoptFacts = statement<Omit<AdoptFacts, keyof ServerFacts | 'group'>, [readonly string[]]>(
  'adopt_facts',
  `with wanted as (select to_regclass(name) as id from unnest($1::text[]) name where to_regclass(name) is not null),
        triggers as (select tgname::text as name, tgrelid::regclass::text as place from pg_trigger
                      where not tgisinternal and tgrelid in (select id from wanted))
   select (select rolsuper from pg_roles where rolname = current_user) as "isSuperuser",
          (select default_version from pg_available_extensions where name = 'citus') as available,
          (select coalesce(array_agg(name), '{}') from triggers where name like 'usage\\_direct\\_%') as "directWrites",
          (select coalesce(array_agg(name || ' on ' || place), '{}') from triggers where name not like 'usage\\_direct\\_%') as triggers,
          (select coalesce(array_agg(conname || ' on ' || conrelid::regclass), '{}') from pg_constraint
            where contype = 'f' and conparentid = 0 and (conrelid in (select id from wanted) or confrelid in (select id from wanted))) as "foreignKeys"`,
  (names) => [names],
);

export const selectLocalGroup = statement<{ group: number }>(
  'adopt_group',
  'select groupid as "group" from pg_dist_local_group',
);

/** Of the tables that hold the rows. Without the setting, Citus hides the shards that stand on this server. */
export const showShards = statement<object>(
  'adopt_show_shards',
  `select set_config('citus.override_table_visibility', 'off', false)`,
);

export interface TableSize {
  readonly name: string;
  readonly bytes: bigint;
  readonly rows: bigint;
  readonly pieces: number;
}

const pieces = `from unnest($1::text[]) with ordinality n (name, place)
  left join lateral (select relid from pg_partition_tree(to_regclass(n.name)) where isleaf) t on true`;
const sizes = `select n.name, count(*)::int as pieces, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint as bytes,
  coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint as rows`;

const selectSizesOfSingle = statement<TableSize, [readonly string[]]>(
  'adopt_sizes',
  `${sizes} ${pieces} join pg_class c on c.oid = coalesce(t.relid, to_regclass(n.name)) group by n.name, n.place order by n.place`,
  (names) => [names],
);

// Of a table that all nodes know, the rows are in a shard beside it; where it is distributed, elsewhere.
const selectSizesOfCluster = statement<TableSize, [readonly string[]]>(
  'adopt_cluster_sizes',
  `${sizes} ${pieces} left join pg_dist_partition p on p.logicalrelid = coalesce(t.relid, to_regclass(n.name)) and p.partmethod = 'n'
     left join pg_dist_shard s on s.logicalrelid = p.logicalrelid
     join pg_class c on c.oid = coalesce(to_regclass(shard_name(s.logicalrelid, s.shardid)), t.relid, to_regclass(n.name))
    group by n.name, n.place order by n.place`,
  (names) => [names],
);

export const selectSizes = (names: readonly string[], isCluster: boolean): Statement<TableSize> =>
  isCluster ? selectSizesOfCluster(names) : selectSizesOfSingle(names);

/** One adoption or migration at a time: both change where tables are. */
export const tryLockSchema = statement<{ got: boolean }>(
  'adopt_lock',
  `select pg_try_advisory_lock(hashtext('milliard migrate')) as got`,
);

export const selectLockHolder = statement<{ pid: number; application: string; forMs: number }>(
  'adopt_lock_holder',
  `select a.pid, a.application_name as application, (extract(epoch from now() - a.query_start) * 1000)::float8 as "forMs"
     from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database where datname = current_database())
      and l.objsubid = 1 and (l.classid::bigint << 32 | l.objid::bigint) = hashtext('milliard migrate')::bigint limit 1`,
);

export const setCoordinator = ({ host, port }: NodeAddress): Statement<object> =>
  dynamic(sql`select citus_set_coordinator_host(${host}::text, ${port}::int)`);

export interface Unreachable {
  readonly from: string;
  readonly to: string;
}

export const selectUnreachable = statement<Unreachable>(
  'adopt_health',
  `select from_nodename || ':' || from_nodeport as "from", to_nodename || ':' || to_nodeport as "to"
     from citus_check_cluster_node_health() where result is not true`,
);

/** When the database was made a cluster: who connected before does not know. */
export const selectBegun = statement<{ begunAt: Instant }>(
  'adopt_begun',
  `select max(recorded_at) as "begunAt" from audit_log where action = 'cluster.adopt-begin' having max(recorded_at) is not null`,
);

/** Servers tell by their leases; commands that work with rows by being connected since before. */
export const selectOldProcesses = (begunAt: Instant | null): Statement<OldProcess> =>
  dynamic(sql`
    select application, host, pid, started_at as "startedAt" from server_leases where expires_at > now() and topology = 'single'
    union all
    select min(application_name), coalesce(host(client_addr), 'localhost'), null, min(backend_start)::timestamptz(3) from pg_stat_activity
     where datname = current_database() and backend_start < ${begunAt === null ? sql`now()` : sql`to_timestamp(${begunAt}::double precision / 1000)`}
       and application_name ~ '^milliard (orders|shipments|usage|tickets|jobs|verify|keys) '
     group by regexp_replace(application_name, ' (jobs|lease|cache)$', ''), client_addr
     order by 4, 1`);

export interface Placing {
  readonly name: string;
  readonly shards: number;
  /** A table of the group that it joins; null = it begins one. */
  readonly beside: string | null;
}

/** Not within a transaction. */
export const distributeOnline = ({ name, shards, beside }: Placing): Statement<object> => {
  const place =
    beside === null
      ? sql`shard_count => ${shards}::int, colocate_with => 'none'`
      : sql`colocate_with => ${beside}::text`;
  return dynamic(sql`select create_distributed_table_concurrently(${name}::text, 'bucket', ${place})`);
};

/** Bytes of the shards of a table on the workers, those that nobody uses yet too. */
export const selectArrived = (name: string): Statement<{ bytes: bigint }> => {
  // Shards are called as the table or its partition and a number.
  const pattern = `^${name}(_[0-9]+)*_[0-9]{6,}$`;
  const text = `select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class where relkind = 'r' and relname ~ '${pattern}'`;
  return dynamic(
    sql`select coalesce(sum(result::bigint) filter (where success), 0)::bigint as bytes from run_command_on_workers(${text}::text)`,
  );
};

interface Check {
  readonly name: string;
  /** As ALTER TABLE … ADD CONSTRAINT takes it. */
  readonly definition: string;
  readonly isValid: boolean;
}

/** CHECKs of a partitioned table. */
const selectChecks = statement<Check, [string]>(
  'adopt_checks',
  `select quote_ident(conname) as name, pg_get_constraintdef(k.oid) as definition, convalidated as "isValid"
     from pg_constraint k join pg_class c on c.oid = k.conrelid
    where c.oid = to_regclass($1) and c.relkind = 'p' and contype = 'c' order by conname`,
  (name) => [name],
);

const plain = (text: string): Statement<object> => ({ text, values: [] });
const withoutMark = (definition: string): string => definition.replace(/ NOT VALID$/, '');

/**
 * Makes a table known to all nodes; its rows stay where they are. To be run in one transaction. The CHECKs of a partitioned table are
 * taken off and put on again: the shards of its partitions would get names of their own for them, and could not be attached.
 */
export async function prepareStatements(run: Run, name: string): Promise<readonly Statement<object>[]> {
  const checks = await run(selectChecks(name));
  return [
    ...checks.map((check) => plain(`alter table ${name} drop constraint ${check.name}`)),
    addLocal(name),
    ...checks.map((check) =>
      plain(`alter table ${name} add constraint ${check.name} ${withoutMark(check.definition)} not valid`),
    ),
  ];
}

/** Looks at the rows while others write. */
export async function validateStatements(run: Run, name: string): Promise<readonly Statement<object>[]> {
  const checks = await run(selectChecks(name));
  return checks
    .filter(({ isValid }) => !isValid)
    .map((check) => plain(`alter table ${name} validate constraint ${check.name}`));
}
