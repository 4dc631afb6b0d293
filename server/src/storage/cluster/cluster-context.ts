import { bucketCount } from '../../core/bucket.ts';
import { formatNodeAddress, isAt, type NodeAddress } from '../../core/cluster.ts';
import { DomainError } from '../../core/errors.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Database, Session } from '../database.ts';
import type { BucketShard, Moves } from './cluster.ts';
import {
  insertClusterAudit,
  type NodeRow,
  selectBucketShards,
  selectNodes,
  selectOpenMoves,
  startRebalance,
} from './cluster-queries.ts';
import { describeMoves, movesOf } from './cluster-status-service.ts';
import { recoverPrepared } from './recovery.ts';

export type ClusterErrorCode = 'cluster_needed' | 'node_unfit' | 'node_unknown' | 'node_full' | 'cluster_busy';

export const refuse = (code: ClusterErrorCode, message: string): DomainError =>
  new DomainError<ClusterErrorCode>(code, message);

/** What the parts of a cluster work with. */
export interface Context {
  readonly db: Database;
  readonly connection: ConnectionOptions;
  session<T>(work: (session: Session) => Promise<T>): Promise<T>;
}

export interface Audited {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly facts?: object;
}

export const audit = (on: Pick<Session, 'run'>, { action, facts = {}, ...entry }: Audited): Promise<unknown> =>
  on.run(insertClusterAudit({ ...entry, action: `cluster.${action}`, facts }));

export const isFirstOfShard = ({ shardId }: BucketShard, index: number, all: readonly BucketShard[]): boolean =>
  all.findIndex((other) => other.shardId === shardId) === index;

export const busy = ({ jobId, state }: Moves): DomainError =>
  refuse(
    'cluster_busy',
    `Shards are being moved already (background job ${jobId}, ${state}). Watch it: milliard cluster rebalance; end it: milliard cluster rebalance --cancel.`,
  );

export async function openMoves(on: Session): Promise<Moves | null> {
  const [row] = await on.run(selectOpenMoves());
  return row === undefined ? null : describeMoves(on, row);
}

export async function beginMoves(on: Session, drainOnly: boolean): Promise<Moves | null> {
  await recoverPrepared(on);
  const [started] = await on.run(startRebalance(drainOnly));
  return started?.jobId == null ? null : movesOf(on);
}

export async function placedOn(on: Session, address: NodeAddress): Promise<BucketShard[]> {
  const every = Array.from({ length: bucketCount }, (_, bucket) => bucket);
  return (await on.run(selectBucketShards(every))).filter((shard) => isAt(shard, address));
}

export async function requireNode(on: Session, address: NodeAddress): Promise<NodeRow> {
  const nodes = await on.run(selectNodes());
  const found = nodes.find((node) => isAt(node, address));
  if (found !== undefined) return found;
  throw refuse(
    'node_unknown',
    `${formatNodeAddress(address)} is no node of this cluster. Its nodes: ${nodes.map(formatNodeAddress).join(', ')}.`,
  );
}
