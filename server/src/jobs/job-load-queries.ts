import { statement } from '../storage/sql.ts';

/** The tables of these names that there are, with their partitions; the tree of a plain table is empty. */
export const tablesAndPartitions = (names: string): string =>
  `select to_regclass(name)::oid from unnest(${names}) as n (name) where to_regclass(name) is not null
   union select relid from unnest(${names}) as n (name), lateral pg_partition_tree(to_regclass(name))`;

/** Columns that this user may not see are null: then nothing is known and nothing waits. */
export const selectReplicaLag = statement<{ name: string; lagMs: number }>(
  'job_replica_lag',
  `select coalesce(nullif(application_name, ''), client_addr::text, 'replica') as name,
          (extract(epoch from replay_lag) * 1000)::double precision as "lagMs"
     from pg_stat_replication where replay_lag is not null and state in ('streaming', 'catchup')
    order by replay_lag desc limit 1`,
);

export const selectArchive = statement<{
  archived: string | null;
  failed: string | null;
  present: string | null;
  segmentBytes: bigint;
}>(
  'job_archive',
  `select last_archived_wal as archived, last_failed_wal as failed, pg_walfile_name(pg_current_wal_lsn()) as present,
          pg_size_bytes(current_setting('wal_segment_size')) as "segmentBytes"
     from pg_stat_archiver where current_setting('archive_mode') <> 'off' and not pg_is_in_recovery()`,
);

export const selectVacuum = statement<{ pid: number; table: string }, [readonly string[]]>(
  'job_vacuum',
  `select v.pid, v.relid::regclass::text as "table"
     from pg_stat_progress_vacuum v
    where v.datname = current_database() and v.relid in (${tablesAndPartitions('$1::text[]')}) order by v.pid limit 1`,
  (tables) => [tables],
);
