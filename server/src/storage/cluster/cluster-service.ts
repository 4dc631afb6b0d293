import { bucketCount } from '../../core/bucket.ts';
import { formatNodeAddress, isAt, type NodeAddress } from '../../core/cluster.ts';
import { DomainError } from '../../core/errors.ts';
import type { Clock } from '../../core/time.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { withHost } from '../coordinator.ts';
import type { Database, Session } from '../database.ts';
import { setNodeDefaults } from '../distribution-step.ts';
import { toStorageError } from '../faults.ts';
import { hostUrls } from '../hosts.ts';
import type { Topology } from '../topology.ts';
import { sessionOf } from '../transaction.ts';
import type { AddPlan, BucketShard, Cluster, Moves, WaitOptions } from './cluster.ts';
import {
  activateNode,
  addNode,
  cancelBackend,
  canReach,
  copyReferenceTables,
  insertClusterAudit,
  isolateBucket,
  moveShard,
  type NodeRow,
  removeNode,
  type ServerFacts,
  selectBackend,
  selectBucketShards,
  selectNodeCount,
  selectNodes,
  selectOpenMoves,
  selectPlan,
  selectServerFacts,
  setTakesShards,
  startRebalance,
  stopRebalance,
} from './cluster-queries.ts';
import { createStatus, describeMoves, movesOf } from './cluster-status-service.ts';
import { judgeServer } from './node-fitness.ts';
import { recoverPrepared } from './recovery.ts';

export interface ClusterDeps {
  /** Its sessions lead to the coordinator. */
  readonly db: Database;
  readonly topology: Topology;
  /** How to reach the coordinator; other nodes are reached in the same way. */
  readonly connection: ConnectionOptions;
  readonly clock: Clock;
}

export type ClusterErrorCode = 'cluster_needed' | 'node_unfit' | 'node_unknown' | 'node_full' | 'cluster_busy';

const refuse = (code: ClusterErrorCode, message: string): DomainError =>
  new DomainError<ClusterErrorCode>(code, message);

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

interface Context {
  readonly db: Database;
  readonly connection: ConnectionOptions;
  session<T>(work: (session: Session) => Promise<T>): Promise<T>;
}

export function addressOf(url: string): NodeAddress {
  const first = hostUrls(url).urls[0] ?? url;
  const { hostname, port } = URL.canParse(first) ? new URL(first) : { hostname: '', port: '' };
  return { host: hostname === '' ? 'localhost' : hostname, port: Number(port === '' ? 5432 : port) };
}

interface Audited {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly facts?: object;
}

const audit = (on: Session, { action, facts = {}, ...entry }: Audited): Promise<unknown> =>
  on.run(insertClusterAudit({ ...entry, action: `cluster.${action}`, facts }));

type NodeCalls = Pick<Cluster, 'planNode' | 'addNode' | 'planDrain' | 'startDrain' | 'removeNode'>;

const nodesOf = ({ session, connection }: Context): NodeCalls => ({
  planNode: (address) => session((on) => planNode(on, address, connection)),
  addNode: (address, actor) =>
    session(async (on) => {
      const plan = await planNode(on, address, connection);
      if (plan.outcome === 'add') await on.run(addNode(address));
      if (plan.outcome === 'activate') {
        await on.run(activateNode(address));
        await on.run(setTakesShards(address, true));
      }
      await on.run(copyReferenceTables);
      await on.run(setNodeDefaults);
      if (plan.outcome !== 'nothing')
        await audit(on, { actor, action: 'add-node', subject: formatNodeAddress(address) });
      return plan;
    }),
  planDrain: (address) =>
    session(async (on) => {
      await requireNode(on, address);
      await requireRoom(on, address);
      return (await placedOn(on, address)).filter(isFirstOfShard);
    }),
  startDrain: (address, actor) =>
    session(async (on) => {
      await requireNode(on, address);
      await requireRoom(on, address);
      const open = await openMoves(on);
      if (open !== null) throw busy(open);
      await on.run(setTakesShards(address, false));
      await audit(on, { actor, action: 'drain-node', subject: formatNodeAddress(address) });
      return (await placedOn(on, address)).length === 0 ? null : begin(on, true);
    }),
  removeNode: (address, actor) =>
    session(async (on) => {
      await requireNode(on, address);
      const left = await placedOn(on, address);
      if (left.length > 0)
        throw refuse(
          'node_full',
          `${formatNodeAddress(address)} still holds shards of ${left.length} buckets: drain it first.`,
        );
      await on.run(removeNode(address));
      await audit(on, { actor, action: 'remove-node', subject: formatNodeAddress(address) });
    }),
});

type RebalanceCalls = Pick<Cluster, 'planRebalance' | 'startRebalance' | 'findMoves' | 'cancelMoves'>;

const rebalancingOf = ({ session }: Context): RebalanceCalls => ({
  planRebalance: () =>
    session(async (on) =>
      (await on.run(selectPlan())).map((row) => ({
        shardId: row.shardId,
        bytes: Number(row.bytes),
        from: { host: row.fromHost, port: row.fromPort },
        to: { host: row.toHost, port: row.toPort },
      })),
    ),
  startRebalance: (actor) =>
    session(async (on) => {
      const open = await openMoves(on);
      if (open !== null) return open;
      await audit(on, { actor, action: 'rebalance', subject: 'all nodes' });
      return begin(on, false);
    }),
  findMoves: () => session(movesOf),
  cancelMoves: (actor) =>
    session(async (on) => {
      if ((await openMoves(on)) === null) return null;
      await on.run(stopRebalance());
      await audit(on, { actor, action: 'rebalance-cancel', subject: 'all nodes' });
      return movesOf(on);
    }),
});

const shardsOf = ({ session, db }: Context): Pick<Cluster, 'shardsOf' | 'move' | 'isolate'> => ({
  shardsOf: (buckets) => session(async (on) => (await on.run(selectBucketShards(buckets))).filter(isFirstOfShard)),
  move: (shard, to, options) =>
    session(async (on) => {
      await requireNode(on, to);
      await prepare(on, options);
      options.onStep?.(`moving shard ${shard.shardId} to ${formatNodeAddress(to)}`);
      await interruptibly(db, on, { signal: options.signal, work: () => on.run(moveShard(shard, to)) });
      const facts = { to: formatNodeAddress(to) };
      await audit(on, { actor: options.actor, action: 'move', subject: `shard ${shard.shardId}`, facts });
    }),
  isolate: (shard, options) =>
    session(async (on) => {
      await prepare(on, options);
      options.onStep?.(`splitting shard ${shard.shardId} for bucket ${shard.bucket}`);
      await interruptibly(db, on, { signal: options.signal, work: () => on.run(isolateBucket(shard.bucket)) });
      const facts = { shard: String(shard.shardId) };
      await audit(on, { actor: options.actor, action: 'isolate', subject: `bucket ${shard.bucket}`, facts });
    }),
});

const isFirstOfShard = ({ shardId }: BucketShard, index: number, all: readonly BucketShard[]): boolean =>
  all.findIndex((other) => other.shardId === shardId) === index;

const busy = ({ jobId, state }: Moves): DomainError =>
  refuse(
    'cluster_busy',
    `Shards are being moved already (background job ${jobId}, ${state}). Watch it: milliard cluster rebalance; end it: milliard cluster rebalance --cancel.`,
  );

async function openMoves(on: Session): Promise<Moves | null> {
  const [row] = await on.run(selectOpenMoves());
  return row === undefined ? null : describeMoves(on, row);
}

async function begin(on: Session, drainOnly: boolean): Promise<Moves | null> {
  await recoverPrepared(on);
  const [started] = await on.run(startRebalance(drainOnly));
  return started?.jobId == null ? null : movesOf(on);
}

async function prepare(on: Session, { signal }: WaitOptions): Promise<void> {
  signal.throwIfAborted();
  const open = await openMoves(on);
  if (open !== null) throw busy(open);
  // A transaction that a lost node left prepared holds locks on its rows: a move would wait for it for ever.
  await recoverPrepared(on);
}

interface Interruptible {
  readonly signal: AbortSignal;
  readonly work: () => Promise<unknown>;
}

/** A statement that takes long: the signal cancels it on the server, and the caller gets the signal's reason. */
export async function interruptibly(db: Database, on: Session, { signal, work }: Interruptible): Promise<void> {
  const [backend] = await on.run(selectBackend());
  const cancel = (): void => void db.session((other) => other.run(cancelBackend(backend?.pid ?? 0))).catch(() => {});
  signal.addEventListener('abort', cancel, { once: true });
  try {
    await work();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

async function placedOn(on: Session, address: NodeAddress): Promise<BucketShard[]> {
  const every = Array.from({ length: bucketCount }, (_, bucket) => bucket);
  return (await on.run(selectBucketShards(every))).filter((shard) => isAt(shard, address));
}

async function requireNode(on: Session, address: NodeAddress): Promise<NodeRow> {
  const nodes = await on.run(selectNodes());
  const found = nodes.find((node) => isAt(node, address));
  if (found !== undefined) return found;
  throw refuse(
    'node_unknown',
    `${formatNodeAddress(address)} is no node of this cluster. Its nodes: ${nodes.map(formatNodeAddress).join(', ')}.`,
  );
}

async function requireRoom(on: Session, address: NodeAddress): Promise<void> {
  const others = (await on.run(selectNodes())).filter(
    (node) => node.takesShards && node.isActive && !isAt(node, address),
  );
  if (others.length === 0)
    throw refuse(
      'node_full',
      `There is no other node that takes shards: add one first (milliard cluster add-node HOST:PORT).`,
    );
}

async function planNode(on: Session, address: NodeAddress, connection: ConnectionOptions): Promise<AddPlan> {
  const known = (await on.run(selectNodes())).find((node) => isAt(node, address));
  if (known !== undefined) {
    const isWhole = known.isActive && (known.takesShards || known.groupId === 0);
    return { outcome: isWhole ? 'nothing' : 'activate', checks: [] };
  }
  const [coordinator] = await on.run(selectServerFacts());
  const { facts, nodes } = await askServer(address, connection);
  if (coordinator === undefined) throw new RangeError('The settings of a server are always one row.');
  const [reach] = await on.run(canReach(address));
  const { faults, checks } = judgeServer(facts, coordinator, nodes);
  const all =
    reach?.reaches === true ? faults : [...faults, 'the coordinator cannot connect to it (pg_hba.conf, ~/.pgpass)'];
  if (all.length > 0) throw refuse('node_unfit', `${formatNodeAddress(address)} cannot be added: ${all.join('; ')}.`);
  return { outcome: 'add', checks: ['the coordinator reaches it', ...checks] };
}

export async function askServer(
  address: NodeAddress,
  { hosts: _, ...connection }: ConnectionOptions,
): Promise<{ facts: ServerFacts; nodes: number }> {
  const client = await connect({ ...connection, url: withHost(connection.url, address) }).catch((error: unknown) => {
    const cause = toStorageError(error);
    const { message } = cause instanceof Error && cause.cause instanceof Error ? cause.cause : (cause as Error);
    throw refuse(
      'node_unfit',
      `${formatNodeAddress(address)} cannot be added: it cannot be reached from here with the user and database of DATABASE_URL (${message}).`,
    );
  });
  try {
    const { run } = sessionOf(client);
    const [facts] = await run(selectServerFacts());
    if (facts === undefined) throw new RangeError('The settings of a server are always one row.');
    const [count] = facts.citus === null ? [] : await run(selectNodeCount());
    return { facts, nodes: count?.nodes ?? 0 };
  } finally {
    await client.end();
  }
}
