import { formatNodeAddress } from '../../core/cluster.ts';
import type { Database, Session } from '../database.ts';
import type { Cluster, WaitOptions } from './cluster.ts';
import { audit, beginMoves, busy, type Context, isFirstOfShard, openMoves, requireNode } from './cluster-context.ts';
import {
  cancelBackend,
  isolateBucket,
  moveShard,
  selectBackend,
  selectBucketShards,
  selectPlan,
  stopRebalance,
} from './cluster-queries.ts';
import { movesOf } from './cluster-status-service.ts';
import { recoverPrepared } from './recovery.ts';

type RebalanceCalls = Pick<Cluster, 'planRebalance' | 'startRebalance' | 'findMoves' | 'cancelMoves'>;

/** Many shards, in the background of the cluster. */
export const rebalancingOf = ({ session }: Context): RebalanceCalls => ({
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
      return beginMoves(on, false);
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

/** One shard, while the caller waits. */
export const shardsOf = ({ session, db }: Context): Pick<Cluster, 'shardsOf' | 'move' | 'isolate'> => ({
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
