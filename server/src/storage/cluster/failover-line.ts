import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import { DomainError } from '../../core/errors.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { withHost } from '../coordinator.ts';
import { sqlstateOf } from '../faults.ts';
import { sessionOf, type Transaction } from '../transaction.ts';
import type { LostState } from './failover.ts';
import { selectIsStandby } from './failover-queries.ts';

/** A connection of its own to one server. */
export type Line = Pick<Transaction, 'run'>;

export type FailoverErrorCode = 'standby_unfit' | 'node_unknown' | 'node_alive' | 'node_silent' | 'promotion_failed';

export const refuseFailover = (code: FailoverErrorCode, message: string): DomainError =>
  new DomainError<FailoverErrorCode>(code, message);

/** Runs `work` on this very server. @throws DomainError `standby_unfit` when it cannot be reached */
export async function withLine<T>(
  address: NodeAddress,
  { hosts: _, ...connection }: ConnectionOptions,
  work: (on: Line) => Promise<T>,
): Promise<T> {
  const client = await connect({ ...connection, url: withHost(connection.url, address) }).catch((error: unknown) => {
    const words = error instanceof AggregateError ? error.errors.map(String).join(', ') : (error as Error).message;
    throw refuseFailover(
      'standby_unfit',
      `${formatNodeAddress(address)} cannot be reached from here with the user and database of DATABASE_URL (${words}).`,
    );
  });
  try {
    return await work(sessionOf(client));
  } finally {
    await client.end();
  }
}

/** What became of a server. */
export async function askLost(
  address: NodeAddress,
  { hosts: _, ...connection }: ConnectionOptions,
): Promise<LostState> {
  try {
    const client = await connect({ ...connection, url: withHost(connection.url, address) });
    try {
      // One that hangs is silent, whatever its connections say.
      const [found] = await sessionOf(client, undefined, connection.connectTimeoutMs).run(selectIsStandby());
      return found?.isStandby === true ? 'standby' : 'primary';
    } finally {
      client.end().catch(() => {});
    }
  } catch (error) {
    return stateBy(error instanceof Error && error.cause instanceof Error ? error.cause : error);
  }
}

/** What a refused or failed connection tells of the server. */
export function stateBy(error: unknown): LostState {
  const sqlstate = sqlstateOf(error);
  if (sqlstate?.startsWith('57P') === true) return 'starting';
  // Whatever else a server says, it is there.
  if (sqlstate !== null) return 'primary';
  const all = error instanceof AggregateError ? error.errors : [error];
  return all.length > 0 && all.every((one) => (one as NodeJS.ErrnoException).code === 'ECONNREFUSED')
    ? 'stopped'
    : 'silent';
}
