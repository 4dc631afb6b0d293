import { setTimeout as delay } from 'node:timers/promises';
import { formatNodeAddress, isAt, type NodeAddress } from '../../core/cluster.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { withHost } from '../coordinator.ts';
import type { Session } from '../database.ts';
import { setNodeDefaults } from '../distribution-step.ts';
import { toStorageError } from '../faults.ts';
import { trustedMs } from '../node-map.ts';
import { sessionOf } from '../transaction.ts';
import type { AddPlan, Cluster } from './cluster.ts';
import {
  audit,
  beginMoves,
  busy,
  type Context,
  isFirstOfShard,
  openMoves,
  placedOn,
  refuse,
  requireNode,
} from './cluster-context.ts';
import {
  activateNode,
  addNode,
  canReach,
  copyReferenceTables,
  removeNode,
  type ServerFacts,
  selectNodeCount,
  selectNodes,
  selectServerFacts,
  setTakesShards,
} from './cluster-queries.ts';
import { judgeServer } from './node-fitness.ts';

type NodeCalls = Pick<Cluster, 'planNode' | 'addNode' | 'planDrain' | 'startDrain' | 'removeNode'>;

// A node that was taken out is told of no move any more: whoever still sent statements there would read and write where rows were.
const removalMs = trustedMs + 1_000;
const ceilSeconds = (ms: number): number => Math.ceil(ms / 1_000);

async function requireEmpty(on: Session, address: NodeAddress): Promise<void> {
  const left = await placedOn(on, address);
  if (left.length === 0) return;
  throw refuse(
    'node_full',
    `${formatNodeAddress(address)} still holds shards of ${left.length} buckets: drain it first.`,
  );
}

/** Nodes come and go. */
export const nodesOf = ({ session, connection }: Context): NodeCalls => ({
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
      return (await placedOn(on, address)).length === 0 ? null : beginMoves(on, true);
    }),
  removeNode: (address, { actor, signal, onStep }) =>
    session(async (on) => {
      await requireNode(on, address);
      await requireEmpty(on, address);
      await on.run(setTakesShards(address, false));
      onStep?.(`waiting ${ceilSeconds(removalMs)} s, until no server sends anything straight to the node`);
      await delay(removalMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      await requireEmpty(on, address);
      await on.run(removeNode(address));
      await audit(on, { actor, action: 'remove-node', subject: formatNodeAddress(address) });
    }),
});

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
