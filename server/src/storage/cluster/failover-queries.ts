import type { NodeAddress } from '../../core/cluster.ts';
import { dynamic, type Statement, sql, statement } from '../sql.ts';
import type { StandbyFacts } from './standby-fitness.ts';

export const selectStandbyFacts = statement<StandbyFacts>(
  'failover_standby',
  `select pg_is_in_recovery() as "isStandby", exists (select from pg_extension where extname = 'citus') as "isCitus",
          coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::float8 as "unreplayedBytes",
          exists (select from pg_stat_wal_receiver where status = 'streaming') as "isStreaming",
          exists (select from pg_tables where tablename = 'schema_migrations') as "isMilliard"`,
);

/** What a node knows of the cluster; a standby has it from its primary. */
export interface PlaceRow extends NodeAddress {
  readonly id: number;
  readonly groupId: number;
  /** Whether it is the node that is asked. */
  readonly isHere: boolean;
}

export const selectPlaces = statement<PlaceRow>(
  'failover_places',
  `select nodeid as id, groupid as "groupId", nodename as host, nodeport as port,
          groupid = (select groupid from pg_dist_local_group) as "isHere"
     from pg_dist_node where noderole = 'primary' order by groupid`,
);

/** Waits until it is done, for a minute at most. */
export const promote = statement<{ isPromoted: boolean }>(
  'failover_promote',
  'select pg_promote(true, 60) as "isPromoted"',
);

export const selectIsStandby = statement<{ isStandby: boolean }>(
  'failover_is_standby',
  'select pg_is_in_recovery() as "isStandby"',
);

/** Whom commits wait for, and whether anybody of these is there. */
export const selectSynchronous = statement<{ names: string; isThere: boolean }>(
  'failover_synchronous',
  `select current_setting('synchronous_standby_names') as names,
          exists (select from pg_stat_replication where sync_state in ('sync', 'quorum')) as "isThere"`,
);

/** Commits wait for nobody from then on. */
export const emptySynchronous: readonly Statement<object>[] = [
  { text: `alter system set synchronous_standby_names = ''`, values: [] },
  { text: 'select pg_reload_conf()', values: [] },
];

/** How long those who hold the shards may go on before they are ended; with a dead node they hold nothing for long. */
const lockCooldownMs = 2_000;

export const redirect = (id: number, { host, port }: NodeAddress): Statement<object> =>
  dynamic(
    sql`select citus_update_node(${id}::int, ${host}::text, ${port}::int, force => true, lock_cooldown => ${lockCooldownMs}::int)`,
  );

export const addressText = (id: number): string =>
  `select coalesce((select nodename || ' ' || nodeport from pg_dist_node where nodeid = ${id}), '')`;

/** @param olderThanMs younger ones may be commits that are just under way */
export const preparedText = (olderThanMs: number): string =>
  `select count(*) from pg_prepared_xacts where database = current_database() and gid like 'citus\\_%'
      and prepared < now() - ${Math.round(olderThanMs)} * interval '1 millisecond'`;
