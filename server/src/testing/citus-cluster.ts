import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withAdmin, withDatabase } from './admin.ts';
import { type CitusNode, startCitusNode } from './citus-node.ts';
import { findPostgres15 } from './postgres-15.ts';

/** The folder with the programs of a PostgreSQL on this machine that has the extension: MILLIARD_TEST_CITUS_BIN, else PostgreSQL 15's. */
export function findCitus(): string | null {
  const bin = process.env['MILLIARD_TEST_CITUS_BIN'] ?? findPostgres15();
  return bin !== null && hasExtension(bin) ? bin : null;
}

function hasExtension(bin: string): boolean {
  try {
    const share = execFileSync(join(bin, 'pg_config'), ['--sharedir'], { encoding: 'utf8' }).trim();
    return existsSync(join(share, 'extension', 'citus.control'));
  } catch {
    return false;
  }
}

export interface CitusClusterOptions {
  /** How many workers it begins with. Default 2. */
  readonly workers?: number;
  /** Made on every node. Default `milliard`. */
  readonly database?: string;
  /** true: what is committed survives `kill` (fsync on). Default false: faster. */
  readonly durable?: boolean;
  /** Further settings of every node. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface CitusCluster extends AsyncDisposable {
  /** Connection string of a superuser to the cluster's database on the coordinator. It is not migrated. */
  readonly coordinatorUrl: string;
  /** The coordinator first, then the workers, those of `startWorker` too. */
  readonly nodes: readonly CitusNode[];
  /** A new server with the extension and the database, which is NOT added to the cluster. */
  startWorker(): Promise<CitusNode>;
  /** A streaming standby of a node, which its primary knows by `name`. It is none of `nodes`. */
  startStandby(node: CitusNode, name: string): Promise<CitusNode>;
  /** Ends all nodes and removes their data. */
  stop(): Promise<void>;
}

const hasty = { fsync: 'off', full_page_writes: 'off' } as const;

/** Starts a coordinator and workers of their own. @throws Error when there is no Citus or a server does not start */
export async function startCitusCluster(options: CitusClusterOptions = {}): Promise<CitusCluster> {
  const { workers = 2, database = 'milliard', durable = false } = options;
  const bin = findCitus();
  if (bin === null)
    throw new Error('No PostgreSQL with the extension Citus found: name its bin folder in MILLIARD_TEST_CITUS_BIN.');
  const nodes: CitusNode[] = [];
  const settings = { ...(durable ? {} : hasty), ...options.settings };
  const start = async (role: CitusNode['role']): Promise<CitusNode> => {
    const node = await startCitusNode({ bin, role, database, settings });
    nodes.push(node);
    await makeDatabase(node, database);
    return node;
  };
  const standbys: CitusNode[] = [];
  const startStandby = async ({ role, host, port }: CitusNode, name: string): Promise<CitusNode> => {
    const standby = await startCitusNode({ bin, role, database, settings, standbyOf: { host, port, name } });
    standbys.push(standby);
    return standby;
  };
  const stop = async (): Promise<void> => {
    await Promise.all([...standbys, ...nodes].map((node) => node.remove()));
  };
  try {
    const coordinator = await start('coordinator');
    await Promise.all(Array.from({ length: workers }, () => start('worker')));
    await joinNodes(coordinator.url, nodes);
    return {
      coordinatorUrl: coordinator.url,
      nodes,
      startWorker: () => start('worker'),
      startStandby,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeDatabase(node: CitusNode, database: string): Promise<void> {
  if (database !== 'postgres')
    await withAdmin(withDatabase(node.url, 'postgres'), (admin) => admin.query(`create database ${database}`));
  await withAdmin(node.url, (admin) => admin.query('create extension citus'));
}

/** Tells the coordinator's database who it is and which workers it has. */
export async function joinNodes(
  coordinatorUrl: string,
  nodes: readonly Pick<CitusNode, 'role' | 'host' | 'port'>[],
): Promise<void> {
  await withAdmin(coordinatorUrl, async (admin) => {
    for (const { role, host, port } of nodes) {
      const call = role === 'coordinator' ? 'citus_set_coordinator_host' : 'citus_add_node';
      await admin.query(`select ${call}($1, $2)`, [host, port]);
    }
  });
}
