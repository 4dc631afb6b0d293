import { migrate } from '../storage/migrator.ts';
import { type CitusCluster, startCitusCluster } from './citus-cluster.ts';
import { type MilliardProcess, runMilliard, startMilliard } from './milliard-process.ts';

/** A `milliard serve` whose DATABASE_URL names one node of a cluster. */
export interface ServerOnNode {
  readonly node: string;
  readonly databaseUrl: string;
  /** What its sessions are called in pg_stat_activity; each process has a name of its own. */
  name: string;
  process: MilliardProcess;
}

export interface ServersOnNodes {
  readonly cluster: CitusCluster;
  readonly apiKey: string;
  readonly servers: readonly ServerOnNode[];
  /** Names of processes that were killed: their sessions may outlive them for a moment. */
  readonly killed: ReadonlySet<string>;
  /** The servers in turn, those that run. */
  url(): string;
  /** kill -9 */
  kill(server: ServerOnNode): Promise<void>;
  start(server: ServerOnNode): Promise<void>;
  close(): Promise<void>;
}

interface Options {
  readonly workers: number;
  readonly shards: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A cluster of its own, migrated, with a server at each of its nodes. */
export async function serveOnEachNode({ workers, shards, env = {} }: Options): Promise<ServersOnNodes> {
  const cluster = await startCitusCluster({ workers });
  const killed = new Set<string>();
  const servers: ServerOnNode[] = [];
  let started = 0;
  let asked = 0;
  const run = async ({ node, databaseUrl }: Pick<ServerOnNode, 'node' | 'databaseUrl'>) => {
    const name = `${node}, process ${++started}`;
    const url = `${databaseUrl}?application_name=${encodeURIComponent(name)}`;
    return { name, process: await startMilliard({ args: ['serve'], env: { ...env, DATABASE_URL: url } }) };
  };
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.process.stop('SIGTERM')));
    await cluster.stop();
  };
  try {
    await migrate({ url: cluster.coordinatorUrl, shards });
    const create = ['keys', 'create', '--name', 'runners', '--scopes', 'admin', '--json'];
    const created = await runMilliard({ args: create, env: { DATABASE_URL: cluster.coordinatorUrl } });
    const { api_key: apiKey } = JSON.parse(created.stdout) as { api_key: string };
    for (const [index, { role, url: databaseUrl }] of cluster.nodes.entries()) {
      const place = { node: role === 'coordinator' ? role : `${role} ${index}`, databaseUrl };
      servers.push({ ...place, ...(await run(place)) });
    }
    return {
      ...{ cluster, apiKey, servers, killed, close },
      url() {
        const running = servers.filter(({ name }) => !killed.has(name));
        return running[asked++ % running.length]?.process.url ?? '';
      },
      async kill(server) {
        killed.add(server.name);
        await server.process.stop('SIGKILL');
      },
      async start(server) {
        Object.assign(server, await run(server));
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
