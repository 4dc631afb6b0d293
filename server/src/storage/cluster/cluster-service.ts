import type { NodeAddress } from '../../core/cluster.ts';
import type { Clock } from '../../core/time.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Database } from '../database.ts';
import { hostUrls } from '../hosts.ts';
import type { Topology } from '../topology.ts';
import type { Cluster } from './cluster.ts';
import { type Context, refuse } from './cluster-context.ts';
import { nodesOf } from './cluster-nodes-service.ts';
import { rebalancingOf, shardsOf } from './cluster-shards-service.ts';
import { createStatus } from './cluster-status-service.ts';
import { recoverPrepared } from './recovery.ts';

export interface ClusterDeps {
  /** Its sessions lead to the coordinator. */
  readonly db: Database;
  readonly topology: Topology;
  /** How to reach the coordinator; other nodes are reached in the same way. */
  readonly connection: ConnectionOptions;
  readonly clock: Clock;
}

/** What a single server needs first. */
export const howToGrow =
  'This database is a single server. To grow: install Citus on it and on new servers of the same PostgreSQL version (shared_preload_libraries = citus, wal_level = logical, restart), CREATE EXTENSION citus in the same database on each new one, then `milliard cluster adopt --worker HOST:PORT` here.';

/** The nodes of a cluster and where the shards are. Everything goes by a session to the coordinator. */
export function createCluster(deps: ClusterDeps): Cluster {
  const { db, topology, connection, clock } = deps;
  const session: Context['session'] = (work) => {
    if (topology === 'single') return Promise.reject(refuse('cluster_needed', howToGrow));
    return db.session(work);
  };
  const context: Context = { db, connection, session };
  return {
    topology,
    status: createStatus({ db, topology, address: addressOf(connection.url), clock }),
    ...nodesOf(context),
    ...rebalancingOf(context),
    ...shardsOf(context),
    recover: () => session(recoverPrepared),
  };
}

export function addressOf(url: string): NodeAddress {
  const first = hostUrls(url).urls[0] ?? url;
  const { hostname, port } = URL.canParse(first) ? new URL(first) : { hostname: '', port: '' };
  return { host: hostname === '' ? 'localhost' : hostname, port: Number(port === '' ? 5432 : port) };
}
