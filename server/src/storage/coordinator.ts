import { hostUrls } from './hosts.ts';
import { type Statement, statement } from './sql.ts';

const selectGroup = statement<{ group: number }>('local_group', 'select groupid as "group" from pg_dist_local_group');
const selectCoordinator = statement<{ host: string; port: number }>(
  'coordinator',
  `select nodename as host, nodeport as port from pg_dist_node where groupid = 0 and noderole = 'primary'`,
);

/** Runs a statement: `db.query`, `session.run`, … */
export type Run = <Row>(statement: Statement<Row>) => Promise<Row[]>;

/**
 * The address of the coordinator of the Citus database that `url` leads to: where DDL, rollups, jobs and leases belong.
 * Advisory locks and NOTIFY are per node, so all servers must meet at one. To be asked on Citus only.
 * @param run on a connection that `url` opened
 * @returns `url` itself when it leads there
 */
export async function findCoordinatorUrl(run: Run, url: string): Promise<string> {
  const [local] = await run(selectGroup());
  if (local === undefined || local.group === 0) return url;
  const [found] = await run(selectCoordinator());
  // A node that is in no cluster any more: it can only be asked itself.
  if (found === undefined) return url;
  return withHost(url, found);
}

/** The same database and user on another server. */
export function withHost(url: string, { host, port }: { readonly host: string; readonly port: number }): string {
  const changed = new URL(hostUrls(url).urls[0] ?? url);
  for (const name of ['host', 'port']) changed.searchParams.delete(name);
  changed.hostname = host.includes(':') ? `[${host}]` : host;
  changed.port = String(port);
  return changed.href;
}
