import { bucketCount } from '../../core/bucket.ts';
import type { NodeAddress } from '../../core/cluster.ts';
import type { Instant } from '../../core/time.ts';
import { dynamic, type Statement, sql, statement } from '../sql.ts';
import type { BucketShard, MovesState } from './cluster.ts';

export interface NodeRow extends NodeAddress {
  readonly id: number;
  readonly groupId: number;
  readonly isActive: boolean;
  readonly takesShards: boolean;
}

export const selectNodes = statement<NodeRow>(
  'cluster_nodes',
  `select nodeid as id, groupid as "groupId", nodename as host, nodeport as port, isactive as "isActive", shouldhaveshards as "takesShards"
     from pg_dist_node where noderole = 'primary' order by groupid, nodeid`,
);

const standbys = `(select coalesce(json_agg(json_build_object('name', application_name, 'address', client_addr, 'state', state,
    'syncState', sync_state, 'lagBytes', pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) order by application_name), '[]')
  from pg_stat_replication where application_name not like 'citus\\_%' and not pg_is_in_recovery())`;

const prepared = (fact: string): string =>
  `(select ${fact} from pg_prepared_xacts where database = current_database() and gid like 'citus\\_%')`;

const hereSizes = `(select json_build_object('bytes', coalesce(sum(pg_total_relation_size(c.oid)), 0),
    'rows', coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint,
    'shards', count(*) filter (where s.logicalrelid = to_regclass('orders')))
  from pg_dist_shard s
  join pg_dist_partition t on t.logicalrelid = s.logicalrelid and t.partmethod = 'h'
  join pg_dist_placement p on p.shardid = s.shardid
  join pg_dist_local_group g on g.groupid = p.groupid
  join pg_class c on c.oid = to_regclass(shard_name(s.logicalrelid, s.shardid)))`;

// Of a server alone: all of its tables.
const allSizes = `(select json_build_object('bytes', coalesce(sum(pg_total_relation_size(c.oid)), 0),
    'rows', coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint, 'shards', 0)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and n.nspname in ('public', 'milliard_jobs'))`;

const factsText = (isCitus: boolean): string => `select json_build_object(
  'sizes', ${isCitus ? hereSizes : allSizes},
  'databaseBytes', pg_database_size(current_database()),
  'prepared', ${isCitus ? prepared('count(*)') : '0'},
  'oldestPreparedMs', ${isCitus ? prepared('(extract(epoch from now() - min(prepared)) * 1000)::bigint') : 'null'},
  'standbys', ${standbys},
  'countsBuckets', coalesce(current_setting('citus.stat_tenants_track', true), 'none') <> 'none')::text`;

export interface NodeAnswer {
  readonly id: number;
  readonly success: boolean;
  readonly result: string;
}

export const onAllNodes = (text: string): Statement<NodeAnswer> => ({
  text: 'select nodeid as id, success, result from run_command_on_all_nodes($1, give_warning_for_connection_errors := true)',
  values: [text],
});

export const selectFacts = (isCitus: boolean): Statement<NodeAnswer> =>
  isCitus
    ? onAllNodes(factsText(true))
    : { text: `select 0 as id, true as success, (${factsText(false)}) as result`, values: [] };

/** As JSON text of `NodeFacts`, but for the sizes. */
export interface FactsDocument {
  readonly sizes: { readonly bytes: number; readonly rows: number; readonly shards: number };
  readonly databaseBytes: number;
  readonly prepared: number;
  readonly oldestPreparedMs: number | null;
  readonly standbys: readonly {
    name: string;
    address: string | null;
    state: string;
    syncState: string;
    lagBytes: number | null;
  }[];
  readonly countsBuckets: boolean;
}

export const selectShardCount = statement<{ shards: number }>(
  'cluster_shards',
  `select count(*)::int as shards from pg_dist_shard s
     join pg_dist_partition t on t.logicalrelid = s.logicalrelid and t.partmethod = 'h'
    where s.logicalrelid = to_regclass('orders')`,
);

/** On each node of its own: the function for all nodes fails when one does not answer. */
export const hottestText = (limit: number): string => `select coalesce(json_agg(t), '[]')::text from (
  select tenant_attribute::int as bucket, sum(query_count_in_this_period + query_count_in_last_period)::int as queries,
         sum(cpu_usage_in_this_period + cpu_usage_in_last_period) as "cpuSeconds"
    from citus_stat_tenants_local(true) where tenant_attribute ~ '^[0-9]{1,4}$'
   group by 1 order by 2 desc, 1 limit ${limit}) t`;

/** The customer with most of the newest hundred orders of the bucket since `from`, an order id. */
export const selectCustomerOf = statement<{ customerId: string }, [bucket: number, from: string]>(
  'cluster_customer_of',
  `select customer_id as "customerId" from (
     select customer_id from orders where bucket = $1 and order_id >= $2 order by order_id desc limit 100) newest
   group by 1 order by count(*) desc, 1 limit 1`,
  (bucket, from) => [bucket, from],
);

export interface MovesRow {
  readonly jobId: bigint;
  readonly state: MovesState;
  readonly startedAt: Instant | null;
  readonly finishedAt: Instant | null;
  readonly elapsedMs: number;
  readonly done: number;
  readonly total: number;
  readonly fault: string | null;
}

const movesText = (which: string): string => `
  select j.job_id as "jobId", j.state::text as state, j.started_at as "startedAt", j.finished_at as "finishedAt",
         coalesce(extract(epoch from coalesce(j.finished_at, now()) - j.started_at) * 1000, 0)::float8 as "elapsedMs",
         count(t.task_id) filter (where t.status = 'done')::int as done, count(t.task_id)::int as total,
         max(t.message) filter (where t.status in ('error', 'unscheduled') or t.retry_count > 0) as fault
    from pg_dist_background_job j left join pg_dist_background_task t on t.job_id = j.job_id
   where j.job_type = 'rebalance' ${which}
   group by j.job_id order by j.job_id desc limit 1`;

export const selectMoves = statement<MovesRow>('cluster_moves', movesText(''));

export const selectOpenMoves = statement<MovesRow>(
  'cluster_open_moves',
  movesText(`and j.state in ('scheduled', 'running', 'cancelling', 'failing')`),
);

/** Of the groups that are moved now, one row a node pair. */
export const selectPhases = statement<{ phase: string }>(
  'cluster_phases',
  `select distinct sourcename || ':' || sourceport || ' → ' || targetname || ':' || targetport
          || coalesce(', ' || lower(status), '') as phase
     from get_rebalance_progress() where progress = 1 order by 1`,
);

export interface PlannedRow {
  readonly shardId: bigint;
  readonly bytes: bigint;
  readonly fromHost: string;
  readonly fromPort: number;
  readonly toHost: string;
  readonly toPort: number;
}

export const selectPlan = statement<PlannedRow>(
  'cluster_plan',
  `select min(p.shardid) filter (where p.table_name = to_regclass('orders')) as "shardId", sum(p.shard_size)::bigint as bytes,
          p.sourcename as "fromHost", p.sourceport as "fromPort", p.targetname as "toHost", p.targetport as "toPort"
     from get_rebalance_table_shards_plan() p join pg_dist_shard s on s.shardid = p.shardid
    group by s.shardminvalue, s.shardmaxvalue, 3, 4, 5, 6 order by 1`,
);

export const startRebalance = statement<{ jobId: bigint | null }, [drainOnly: boolean]>(
  'cluster_rebalance',
  `select citus_rebalance_start(drain_only := $1, shard_transfer_mode := 'force_logical') as "jobId"`,
  (drainOnly) => [drainOnly],
);

export const stopRebalance = statement('cluster_rebalance_stop', 'select citus_rebalance_stop()');

/** Which shard of the orders each bucket is in, and where. */
export const selectBucketShards = statement<BucketShard & { readonly isDistributed: boolean }, [readonly number[]]>(
  'cluster_bucket_shards',
  `with all_buckets as materialized (
     select b as bucket, get_shard_id_for_distribution_column('orders', b::smallint) as shard from generate_series(0, ${bucketCount - 1}) b)
   select a.bucket, a.shard as "shardId", n.nodename as host, n.nodeport as port, s.shardminvalue = s.shardmaxvalue as "isAlone",
          (select array_agg(o.bucket order by o.bucket) from all_buckets o where o.shard = a.shard) as buckets
     from all_buckets a join pg_dist_shard s on s.shardid = a.shard
     join pg_dist_placement p on p.shardid = a.shard join pg_dist_node n on n.groupid = p.groupid and n.noderole = 'primary'
    where a.bucket = any($1::int[]) order by a.bucket`,
  (buckets) => [buckets],
);

const at = ({ host, port }: NodeAddress) => sql`${host}::text, ${port}::int`;

export const addNode = (node: NodeAddress): Statement<object> => dynamic(sql`select citus_add_node(${at(node)})`);
export const activateNode = (node: NodeAddress): Statement<object> =>
  dynamic(sql`select citus_activate_node(${at(node)})`);
export const removeNode = (node: NodeAddress): Statement<object> => dynamic(sql`select citus_remove_node(${at(node)})`);
export const setTakesShards = (node: NodeAddress, takes: boolean): Statement<object> =>
  dynamic(sql`select citus_set_node_property(${at(node)}, 'shouldhaveshards', ${takes}::boolean)`);
/** The reference tables, too: the node is not whole before it has them. */
export const copyReferenceTables: Statement<object> = dynamic(sql`select replicate_reference_tables('force_logical')`);
export const canReach = (node: NodeAddress): Statement<{ reaches: boolean }> =>
  dynamic(sql`select citus_check_connection_to_node(${at(node)}) as reaches`);

export const moveShard = (shard: BucketShard, to: NodeAddress): Statement<object> =>
  dynamic(sql`select citus_move_shard_placement(${shard.shardId}::bigint, ${at(shard)}, ${at(to)}, 'force_logical')`);

export const isolateBucket = (bucket: number): Statement<object> =>
  dynamic(
    sql`select isolate_tenant_to_new_shard('orders', ${bucket}::smallint, 'CASCADE', shard_transfer_mode := 'force_logical')`,
  );

export const selectBackend = statement<{ pid: number }>('cluster_backend', 'select pg_backend_pid() as pid');
export const cancelBackend = statement<object, [number]>(
  'cluster_cancel',
  'select pg_cancel_backend($1::int)',
  (pid) => [pid],
);

export interface ClusterAudit {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly facts: object;
}

export const insertClusterAudit = statement<object, [ClusterAudit]>(
  'cluster_audit',
  'insert into audit_log (actor, action, subject, facts) values ($1, $2, $3, $4)',
  ({ actor, action, subject, facts }) => [actor, action, subject, JSON.stringify(facts)],
);

/** What a server must have alike, and whether it is empty. Asked on the coordinator and on the server that is to be added. */
export interface ServerFacts {
  readonly version: number;
  readonly citus: string | null;
  readonly preload: string;
  readonly walLevel: string;
  readonly preparedTransactions: number;
  readonly replicationSlots: number;
  readonly walSenders: number;
  readonly workerProcesses: number;
  readonly plugins: string | null;
  readonly tables: readonly string[];
  readonly isStandby: boolean;
}

const number = (name: string): string => `current_setting('${name}')::int`;

export const selectServerFacts = statement<ServerFacts>(
  'cluster_server_facts',
  `select ${number('server_version_num')} as version, (select extversion from pg_extension where extname = 'citus') as citus,
          current_setting('shared_preload_libraries') as preload, current_setting('wal_level') as "walLevel",
          ${number('max_prepared_transactions')} as "preparedTransactions", ${number('max_replication_slots')} as "replicationSlots",
          ${number('max_wal_senders')} as "walSenders", ${number('max_worker_processes')} as "workerProcesses",
          (select setting from pg_settings where name = 'output_plugin_libraries') as plugins, pg_is_in_recovery() as "isStandby",
          (select coalesce(array_agg(name order by name), '{}') from (
             select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^(pg_|information_schema$|citus)' order by 1 limit 5) t) as tables`,
);
/** How many nodes it knows: a server of another cluster has some. */
export const selectNodeCount = statement<{ nodes: number }>(
  'cluster_node_count',
  'select count(*)::int as nodes from pg_dist_node',
);
