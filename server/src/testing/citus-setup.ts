import type { TestProject } from 'vitest/node';
import { migrate } from '../storage/migrator.ts';
import { withAdmin, withDatabase } from './admin.ts';
import { joinNodes, startCitusCluster } from './citus-cluster.ts';
import { emptyCitusTemplateName, templateName } from './test-server.ts';

/** Fewer than a cluster in use has: months of many shards take long to make, and a test sees more than one shard all the same. */
const testShards = 4;

interface Node {
  readonly role: 'coordinator' | 'worker';
  readonly host: string;
  readonly port: number;
  /** Connection string of a superuser to a maintenance database. */
  readonly url: string;
}

/** Vitest's global set-up of the project "db on Citus": the coordinator that MILLIARD_TEST_CITUS_URL names, or a cluster of its own. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const url = process.env['MILLIARD_TEST_CITUS_URL'];
  const { nodes, stop } = url === undefined ? await ownCluster() : await namedCluster(url);
  const coordinatorUrl = nodes[0]?.url ?? '';
  const dropTemplates = () => Promise.all(nodes.map((node) => dropTemplatesOf(node.url)));
  try {
    await dropTemplates();
    await makeTemplate(nodes, emptyCitusTemplateName);
    await makeTemplate(nodes, templateName);
    await migrate({ url: withDatabase(coordinatorUrl, templateName), shards: testShards });
    await Promise.all(nodes.map((node) => closeTemplates(node.url)));
  } catch (error) {
    await stop();
    throw error;
  }
  project.provide('adminUrl', coordinatorUrl);
  project.provide(
    'nodeUrls',
    nodes.map((node) => node.url),
  );
  return async () => {
    if (url !== undefined) await dropTemplates();
    await stop();
  };
}

async function ownCluster(): Promise<{ nodes: readonly Node[]; stop: () => Promise<void> }> {
  const cluster = await startCitusCluster({ workers: 2, database: 'postgres' });
  return { nodes: cluster.nodes, stop: cluster.stop };
}

/** Who runs tests on a cluster of his own lets them in on every node as the same user. */
async function namedCluster(url: string): Promise<{ nodes: readonly Node[]; stop: () => Promise<void> }> {
  const nodes = await withAdmin(url, async (admin) => {
    const { rows } = await admin.query<Omit<Node, 'url'>>(
      `select case groupid when 0 then 'coordinator' else 'worker' end as role, nodename as host, nodeport as port
         from pg_dist_node where isactive and noderole = 'primary' order by groupid`,
    );
    return rows.map((node) => ({ ...node, url: node.role === 'coordinator' ? url : urlOf(url, node) }));
  });
  if (nodes[0]?.role !== 'coordinator')
    throw new Error(
      'MILLIARD_TEST_CITUS_URL names no coordinator that workers know: run citus_set_coordinator_host there.',
    );
  return { nodes, stop: async () => {} };
}

function urlOf(coordinatorUrl: string, { host, port }: Omit<Node, 'url'>): string {
  const url = new URL(coordinatorUrl);
  url.hostname = host;
  url.port = String(port);
  return url.href;
}

/** A database on every node, with the extension, whose coordinator knows the workers. */
async function makeTemplate(nodes: readonly Node[], name: string): Promise<void> {
  await Promise.all(
    nodes.map(async ({ url }) => {
      await withAdmin(url, (admin) => admin.query(`create database ${name}`));
      await withAdmin(withDatabase(url, name), (admin) => admin.query('create extension citus'));
    }),
  );
  await joinNodes(withDatabase(nodes[0]?.url ?? '', name), nodes);
}

const templates = `('${templateName}', '${emptyCitusTemplateName}')`;

/** Whoever is connected to a template keeps others from copying it; Citus's own maintenance is connected to every database. */
async function closeTemplates(url: string): Promise<void> {
  await withAdmin(url, async (admin) => {
    for (const name of [templateName, emptyCitusTemplateName])
      await admin.query(`alter database ${name} with allow_connections false`);
    const selectOpen = `select pg_terminate_backend(pid) from pg_stat_activity where datname in ${templates}`;
    while (((await admin.query(selectOpen)).rowCount ?? 0) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });
}

async function dropTemplatesOf(url: string): Promise<void> {
  await withAdmin(url, async (admin) => {
    for (const name of [templateName, emptyCitusTemplateName])
      await admin.query(`drop database if exists ${name} with (force)`);
  });
}
