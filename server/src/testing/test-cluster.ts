import { systemClock } from '../core/time.ts';
import type { Cluster } from '../storage/cluster/cluster.ts';
import { createCluster } from '../storage/cluster/cluster-service.ts';
import type { ConnectionOptions } from '../storage/connection.ts';
import type { Database } from '../storage/database.ts';
import { migrate } from '../storage/migrator.ts';
import { type CitusCluster, type CitusClusterOptions, startCitusCluster } from './citus-cluster.ts';
import { runMilliard, startMilliard } from './milliard-process.ts';
import { createTestClient } from './open-database.ts';

/** How a test reaches the nodes of a cluster. */
export const clientOptions = (url: string): ConnectionOptions => ({
  url,
  applicationName: 'milliard test cluster',
  statementTimeoutMs: 0,
  connectTimeoutMs: 5_000,
});

export interface ServedCluster {
  readonly cluster: CitusCluster;
  readonly db: Database;
  readonly nodes: Cluster;
  readonly url: string;
  readonly apiKey: string;
  /** A command of the built product on this cluster. */
  run(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  close(): Promise<void>;
}

/** A cluster of its own, migrated, with a server in front of it. */
export async function serveCluster(
  options: CitusClusterOptions & { readonly shards: number; readonly env?: Readonly<Record<string, string>> },
): Promise<ServedCluster> {
  const cluster = await startCitusCluster(options);
  const env = { DATABASE_URL: cluster.coordinatorUrl, ...options.env };
  try {
    await migrate({ url: cluster.coordinatorUrl, shards: options.shards });
    const run = (...args: readonly string[]) => runMilliard({ args, env });
    const created = await run('keys', 'create', '--name', 'traffic', '--scopes', 'admin', '--json');
    const { api_key: apiKey } = JSON.parse(created.stdout) as { api_key: string };
    const server = await startMilliard({ args: ['serve'], env });
    const db = createTestClient(cluster.coordinatorUrl, { statementTimeoutMs: 60_000 });
    const connection = clientOptions(cluster.coordinatorUrl);
    return {
      cluster,
      db,
      nodes: createCluster({ db, topology: 'citus', connection, clock: systemClock }),
      url: server.url,
      apiKey,
      run,
      async close() {
        await server.stop('SIGTERM');
        await db.close();
        await cluster.stop();
      },
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}
