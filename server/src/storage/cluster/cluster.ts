import type { NodeAddress } from '../../core/cluster.ts';
import type { Instant } from '../../core/time.ts';
import type { Topology } from '../topology.ts';

/** A server that follows a node. */
export interface Standby {
  readonly name: string;
  readonly address: string | null;
  readonly state: string;
  /** `sync`: a commit waits for it. */
  readonly syncState: string;
  /** WAL it has not replayed, in bytes; null = it has told nothing yet. */
  readonly lagBytes: number | null;
}

/** What a node says of itself. */
export interface NodeFacts {
  /** Of the distributed tables: groups of shards that belong together. */
  readonly shards: number;
  /** Of its shards, their indexes and what is stored outside of their rows. */
  readonly bytes: number;
  /** Rows in its shards by the estimates of the last ANALYZE. */
  readonly rowsEstimate: number;
  /** Of the whole database there. */
  readonly databaseBytes: number;
  /** Transactions of Citus that are prepared and neither committed nor rolled back: each holds its locks. */
  readonly prepared: number;
  readonly oldestPreparedMs: number | null;
  readonly standbys: readonly Standby[];
  /** Whether it counts what is asked of each bucket. */
  readonly countsBuckets: boolean;
}

export interface ClusterNode extends NodeAddress {
  readonly id: number;
  readonly role: 'coordinator' | 'worker' | 'single';
  /** Whether Citus uses it. */
  readonly isActive: boolean;
  /** Whether shards may be placed there. */
  readonly takesShards: boolean;
  /** null: it does not answer. */
  readonly facts: NodeFacts | null;
  /** Why it does not answer. */
  readonly fault: string | null;
}

/** What was asked of a bucket lately. */
export interface HotBucket {
  readonly bucket: number;
  readonly nodeId: number;
  /** Statements in the running minute and the one before. */
  readonly queries: number;
  readonly cpuSeconds: number;
  /** Who has most of the bucket's newest orders; null: it has none of the past day. */
  readonly customerId: string | null;
}

export type MovesState = 'scheduled' | 'running' | 'finished' | 'cancelling' | 'cancelled' | 'failing' | 'failed';

/** A rebalance or a drain: work of the cluster itself, in the background. */
export interface Moves {
  readonly jobId: number;
  readonly state: MovesState;
  readonly startedAt: Instant | null;
  readonly finishedAt: Instant | null;
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
  /** What is being moved now: "127.0.0.1:5432 → 127.0.0.1:5433, Catching Up". */
  readonly phase: string | null;
  /** Of the task that failed last. */
  readonly fault: string | null;
}

export interface ClusterStatus {
  readonly topology: Topology;
  readonly at: Instant;
  readonly nodes: readonly ClusterNode[];
  /** Shards of each distributed table; 0: nothing is distributed. */
  readonly shards: number;
  /** The fullest node against the mean of those that take shards; null = there is nothing to compare. */
  readonly skew: { readonly bytes: number | null; readonly rows: number | null };
  /** null: no node counts. */
  readonly hottest: readonly HotBucket[] | null;
  /** The newest; null = there never was one. */
  readonly moves: Moves | null;
}

/** One group of shards that goes, or would go, from one node to another. */
export interface PlannedMove {
  readonly shardId: bigint;
  readonly bytes: number;
  readonly from: NodeAddress;
  readonly to: NodeAddress;
}

export interface AddPlan {
  readonly outcome: 'add' | 'activate' | 'nothing';
  /** What was looked at and found good. */
  readonly checks: readonly string[];
}

/** A group of shards as those who move or split it see it. */
export interface BucketShard extends NodeAddress {
  readonly bucket: number;
  readonly shardId: bigint;
  /** All that live in it. */
  readonly buckets: readonly number[];
  /** Whether its range holds the hash of this bucket alone. */
  readonly isAlone: boolean;
}

export interface WaitOptions {
  readonly signal: AbortSignal;
  /** Before each step. */
  readonly onStep?: (step: string) => void;
}

/** What takes a while and changes something. */
export interface ChangeOptions extends WaitOptions {
  readonly actor: string;
}

/** @throws DomainError `cluster_needed` for everything but `status` where the database is a single server */
export interface Cluster {
  readonly topology: Topology;
  /** Asks every node; an answer no older than some seconds serves all who ask. A node that does not answer is named. */
  status(options?: { readonly maxAgeMs?: number }): Promise<ClusterStatus>;
  /** Looks whether the server can become a node. @throws DomainError `node_unfit` that names every reason */
  planNode(address: NodeAddress): Promise<AddPlan>;
  addNode(address: NodeAddress, actor: string): Promise<AddPlan>;
  planRebalance(): Promise<readonly PlannedMove[]>;
  /** Begins it in the background, or finds the one that goes on. @returns null: nothing is to be moved */
  startRebalance(actor: string): Promise<Moves | null>;
  /** What would leave the node. */
  planDrain(address: NodeAddress): Promise<readonly BucketShard[]>;
  /** From now on no shard is placed there, and those it has go elsewhere in the background. @returns null: it has none */
  startDrain(address: NodeAddress, actor: string): Promise<Moves | null>;
  /** Waits first until no server sends anything straight to the node. @throws DomainError `node_full` */
  removeNode(address: NodeAddress, options: ChangeOptions): Promise<void>;
  findMoves(): Promise<Moves | null>;
  cancelMoves(actor: string): Promise<Moves | null>;
  /** The shards of these buckets, each once. */
  shardsOf(buckets: readonly number[]): Promise<readonly BucketShard[]>;
  /** Moves a group of shards while it is written to. Ended by the signal it stays where it was. */
  move(shard: BucketShard, to: NodeAddress, options: ChangeOptions): Promise<void>;
  /** Gives the bucket a group of shards of its own, on the same node, while it is written to. */
  isolate(shard: BucketShard, options: ChangeOptions): Promise<void>;
  /** Ends transactions that a lost node left prepared, as their coordinator decided. @returns how many */
  recover(): Promise<number>;
}
