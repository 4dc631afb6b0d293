import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import type { ConnectionOptions } from '../connection.ts';
import { withHost } from '../coordinator.ts';
import { hostUrls } from '../hosts.ts';
import type { FailoverPlan } from './failover.ts';
import type { Waits } from './failover-steps.ts';

export interface Aftermath {
  readonly node: NodeAddress;
  readonly to: NodeAddress;
  readonly plan: FailoverPlan;
  readonly connection: Pick<ConnectionOptions, 'url'>;
  readonly waits: Waits;
  /** Nodes that do not know the new address yet. */
  readonly unaware: readonly string[];
  readonly preparedLeft: number;
}

/** What is left for people to do. */
export function whatRemains({ node, to, plan, connection, waits, ...left }: Aftermath): string[] {
  const [lost, now] = [formatNodeAddress(node), formatNodeAddress(to)];
  const again =
    waits.for === '' || waits.isLeft
      ? ''
      : `, then set synchronous_standby_names = '${waits.for}' there again: until then a commit is on one machine only`;
  return [
    ...(plan.role === 'worker' ? [] : [whereToGo(connection.url, to, plan.role)]),
    ...(left.unaware.length === 0
      ? []
      : [
          `${left.unaware.join(', ')} did not learn the new address yet: Citus tells it when it answers; run this again to see.`,
        ]),
    ...(left.preparedLeft === 0
      ? []
      : [
          `${left.preparedLeft} transactions are still prepared, for a node that does not answer: run this again when it does.`,
        ]),
    ...(waits.isLeft
      ? [
          `Commits of ${now} wait for the standbys '${waits.for}', and none is there: start one, or alter system set synchronous_standby_names = ''; select pg_reload_conf().`,
        ]
      : []),
    `${lost} must not come back as a primary: make it a standby of ${now} (pg_rewind, or pg_basebackup --write-recovery-conf)${again}.`,
  ];
}

function whereToGo(url: string, to: NodeAddress, role: FailoverPlan['role']): string {
  const now = formatNodeAddress(to);
  if (hostUrls(url).urls.some((one) => isHostOf(one, to)))
    return `DATABASE_URL names ${now}: servers that have it go there by themselves.`;
  const workers = role === 'coordinator' ? ' Servers that go by a worker have to be started again, too.' : '';
  return `Start servers with DATABASE_URL=${withoutPassword(withHost(url, to))}, or name both hosts there and target_session_attrs=read-write: then they follow by themselves the next time.${workers}`;
}

function isHostOf(url: string, { host, port }: NodeAddress): boolean {
  if (!URL.canParse(url)) return false;
  const found = new URL(url);
  return found.hostname.replace(/^\[|\]$/g, '') === host && Number(found.port === '' ? 5432 : found.port) === port;
}

function withoutPassword(url: string): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.href;
}
