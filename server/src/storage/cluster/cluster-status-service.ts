import { skewOf } from '../../core/cluster.ts';
import { lowestIdAt } from '../../core/ids.ts';
import { type Clock, dayMs, type Instant } from '../../core/time.ts';
import type { Database, Session } from '../database.ts';
import type { Topology } from '../topology.ts';
import type { ClusterNode, ClusterStatus, HotBucket, Moves, NodeFacts } from './cluster.ts';
import {
  type FactsDocument,
  hottestText,
  type MovesRow,
  type NodeAnswer,
  type NodeRow,
  onAllNodes,
  selectCustomerOf,
  selectFacts,
  selectMoves,
  selectNodes,
  selectPhases,
  selectShardCount,
} from './cluster-queries.ts';

export interface StatusDeps {
  readonly db: Database;
  readonly topology: Topology;
  /** Where the database is a single server: its address, for people. */
  readonly address: { readonly host: string; readonly port: number };
  readonly clock: Clock;
}

const hottestShown = 5;

/** How the cluster stands; one question at a time, whoever asks. */
export function createStatus({ db, topology, address, clock }: StatusDeps) {
  let last: { readonly atMs: number; readonly status: ClusterStatus } | null = null;
  let asking: Promise<ClusterStatus> | null = null;
  // A session of its own: it has no connections to nodes yet that one which hangs could hold up.
  const ask = async (): Promise<ClusterStatus> => {
    const atMs = performance.now();
    const status = await db.session((session) =>
      topology === 'single' ? singleStatus(session, address, clock) : citusStatus(session, clock),
    );
    last = { atMs, status };
    return status;
  };
  return async ({ maxAgeMs = 0 }: { readonly maxAgeMs?: number } = {}): Promise<ClusterStatus> => {
    if (last !== null && performance.now() - last.atMs < maxAgeMs) return last.status;
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  };
}

async function singleStatus(session: Session, address: StatusDeps['address'], clock: Clock): Promise<ClusterStatus> {
  const [answer] = await session.run(selectFacts(false));
  const { facts, fault } = factsOf(answer);
  return {
    topology: 'single',
    at: clock.now(),
    nodes: [{ id: 0, role: 'single', ...address, isActive: true, takesShards: false, facts, fault }],
    shards: 0,
    skew: { bytes: null, rows: null },
    hottest: null,
    moves: null,
  };
}

async function citusStatus(session: Session, clock: Clock): Promise<ClusterStatus> {
  const rows = await session.run(selectNodes());
  const answers = new Map((await session.run(selectFacts(true))).map((answer) => [answer.id, answer]));
  const nodes = rows.map((row): ClusterNode => nodeOf(row, answers.get(row.id)));
  const [count] = await session.run(selectShardCount());
  const placed = nodes.flatMap(({ takesShards, facts }) => (takesShards && facts !== null ? [facts] : []));
  const counts = nodes.some(({ facts }) => facts?.countsBuckets === true);
  return {
    topology: 'citus',
    at: clock.now(),
    nodes,
    shards: count?.shards ?? 0,
    skew: { bytes: skewOf(placed.map(({ bytes }) => bytes)), rows: skewOf(placed.map((facts) => facts.rowsEstimate)) },
    hottest: counts ? await hottestBuckets(session, clock.now()) : null,
    moves: await movesOf(session),
  };
}

function nodeOf({ groupId, ...row }: NodeRow, answer: NodeAnswer | undefined): ClusterNode {
  return { ...row, role: groupId === 0 ? 'coordinator' : 'worker', ...factsOf(answer) };
}

function factsOf(answer: NodeAnswer | undefined): Pick<ClusterNode, 'facts' | 'fault'> {
  if (answer === undefined) return { facts: null, fault: 'it is not asked while it is not active' };
  if (!answer.success) return { facts: null, fault: answer.result };
  const { sizes, ...told } = JSON.parse(answer.result) as FactsDocument;
  const facts: NodeFacts = { ...told, shards: sizes.shards, bytes: sizes.bytes, rowsEstimate: sizes.rows };
  return { facts, fault: null };
}

type Counted = Pick<HotBucket, 'bucket' | 'queries' | 'cpuSeconds'>;

async function hottestBuckets(session: Session, now: Instant): Promise<HotBucket[]> {
  const answers = await session.run(onAllNodes(hottestText(hottestShown)));
  // What one node asks of another is counted on the one that holds the shard.
  const counted = answers.flatMap(({ id, success, result }) =>
    success ? (JSON.parse(result) as Counted[]).map((hot) => ({ ...hot, nodeId: id })) : [],
  );
  const hottest = counted.sort((a, b) => b.queries - a.queries || a.bucket - b.bucket).slice(0, hottestShown);
  const found: HotBucket[] = [];
  for (const hot of hottest) found.push({ ...hot, customerId: await customerOf(session, hot.bucket, now) });
  return found;
}

/** Null also where its node does not answer: the rest of the answer is worth having. */
const customerOf = async (session: Session, bucket: number, now: Instant): Promise<string | null> =>
  (await session.run(selectCustomerOf(bucket, lowestIdAt((now - dayMs) as Instant))).catch(() => []))[0]?.customerId ??
  null;

/** The newest rebalance or drain. */
export async function movesOf(session: Pick<Session, 'run'>): Promise<Moves | null> {
  const [row] = await session.run(selectMoves());
  return row === undefined ? null : describeMoves(session, row);
}

export async function describeMoves(session: Pick<Session, 'run'>, row: MovesRow): Promise<Moves> {
  const phases = row.state === 'running' ? await session.run(selectPhases()) : [];
  return {
    ...row,
    jobId: Number(row.jobId),
    phase: phases.length === 0 ? null : phases.map(({ phase }) => phase).join('; '),
  };
}
