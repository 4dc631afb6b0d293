import type { Bucket } from '../core/bucket.ts';
import { StorageError } from './faults.ts';
import { type NodeMap, oneNode } from './node-map.ts';

export interface GroupCommitOptions<In, Out> {
  /** For messages and metrics: 'orders', 'order statuses'. */
  readonly name: string;
  /** Writes all rows in one transaction; answers row by row, in order. Throws when nothing was committed. */
  readonly commit: (rows: readonly In[]) => Promise<readonly Out[]>;
  /** At most this many rows a transaction. */
  readonly maxRows: number;
  /** A row waits at most this long for others while a connection is free. */
  readonly maxWaitMs: number;
  /** Transactions at once. */
  readonly concurrency: number;
  /** Rows that may wait; beyond it writers are turned away: memory stays bounded. */
  readonly maxQueued: number;
  readonly onCommit?: (rows: number, durationMs: number) => void;
}

type QueueSettings = Pick<GroupCommitOptions<unknown, unknown>, 'maxRows' | 'maxWaitMs' | 'concurrency' | 'maxQueued'>;

/** What every queue of single writes is set to. */
const queueSettings = (groupCommit: boolean): QueueSettings =>
  groupCommit
    ? { maxRows: 500, maxWaitMs: 5, concurrency: 2, maxQueued: 10_000 }
    : { maxRows: 1, maxWaitMs: 0, concurrency: Number.POSITIVE_INFINITY, maxQueued: 10_000 };

/** How a domain commits its single writes, and who is told how long it took. */
export interface WriteQueueDeps {
  /** False writes each row in a transaction of its own: the baseline of the benchmark. */
  readonly groupCommit: boolean;
  readonly onCommit?: (queue: string, rows: number, durationMs: number) => void;
  /** Left out: one machine. */
  readonly nodes?: Pick<NodeMap, 'nodeOf'>;
}

export interface WriteQueueOptions<In, Out> extends Pick<GroupCommitOptions<In, Out>, 'name'> {
  /** @param near a bucket of the node to which the rows go; undefined when they go to several */
  readonly commit: (rows: readonly In[], near: Bucket | undefined) => Promise<readonly Out[]>;
  /** Where most of what a row writes will stand. Left out: rows go to several nodes. */
  readonly bucketOf?: (row: In) => Bucket;
}

/**
 * A queue of single writes, set as all of them are. Rows of different nodes are collected apart: a node that is lost, or hangs, fails
 * and delays only its own.
 */
export function createWriteQueue<In, Out>(
  { groupCommit, onCommit, nodes = oneNode }: WriteQueueDeps,
  { name, commit, bucketOf }: WriteQueueOptions<In, Out>,
): GroupCommit<In, Out> {
  const open = (nearOf: (rows: readonly In[]) => Bucket | undefined) =>
    createGroupCommit({
      ...{ name, ...queueSettings(groupCommit) },
      commit: (rows: readonly In[]) => commit(rows, nearOf(rows)),
      ...(onCommit === undefined ? {} : { onCommit: (rows: number, ms: number) => onCommit(name, rows, ms) }),
    });
  if (bucketOf === undefined || nodes === oneNode) return open(() => undefined);
  const nearOf = ([first]: readonly In[]) => (first === undefined ? undefined : bucketOf(first));
  const queues = new Map<number, GroupCommit<In, Out>>();
  let isClosed = false;
  const queueOf = (node: number): GroupCommit<In, Out> => {
    const queue = queues.get(node) ?? open(nearOf);
    queues.set(node, queue);
    if (isClosed) void queue.drain();
    return queue;
  };
  return {
    write: async (row) => queueOf(nodes.nodeOf(bucketOf(row))).write(row),
    queued: () => [...queues.values()].reduce((sum, queue) => sum + queue.queued(), 0),
    async drain() {
      isClosed = true;
      await Promise.all([...queues.values()].map((queue) => queue.drain()));
    },
  };
}

/** Collects concurrent single writes into one transaction; each caller is answered only after its commit. */
export interface GroupCommit<In, Out> {
  /** @throws StorageError `storage_overloaded` when the queue is full; else whatever this row alone made the commit throw */
  write(row: In): Promise<Out>;
  /** Rows waiting, not counting those being committed. */
  queued(): number;
  /** Turns new writes away and waits for those already taken. */
  drain(): Promise<void>;
}

interface Waiting<In, Out> {
  readonly row: In;
  readonly resolve: (out: Out) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A transaction starts as soon as a slot is free and either `maxRows` rows wait or the oldest has waited `maxWaitMs`.
 * Under load the slots are busy, so rows gather by themselves and no timer runs.
 */
export function createGroupCommit<In, Out>(options: GroupCommitOptions<In, Out>): GroupCommit<In, Out> {
  let queue: Waiting<In, Out>[] = [];
  let running = 0;
  let timer: NodeJS.Timeout | null = null;
  let closed = false;
  const idle: (() => void)[] = [];

  const start = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    while (running < options.concurrency && queue.length > 0) {
      const batch = queue.slice(0, options.maxRows);
      queue = queue.slice(options.maxRows);
      running++;
      void commitBatch(options, batch).finally(() => {
        running--;
        if (running === 0 && queue.length === 0) for (const resolve of idle.splice(0)) resolve();
        else start();
      });
    }
  };

  const schedule = (): void => {
    if (running >= options.concurrency) return;
    if (queue.length >= options.maxRows || options.maxWaitMs === 0) start();
    else timer ??= setTimeout(start, options.maxWaitMs);
  };

  return {
    write: (row) =>
      new Promise<Out>((resolve, reject) => {
        if (closed) return reject(new StorageError('storage_unavailable', 'The server is shutting down.'));
        if (queue.length >= options.maxQueued) {
          return reject(new StorageError('storage_overloaded', 'Too many writes are waiting. Try again shortly.'));
        }
        queue.push({ row, resolve, reject });
        schedule();
      }),
    queued: () => queue.length,
    async drain() {
      closed = true;
      if (running === 0 && queue.length === 0) return;
      const done = new Promise<void>((resolve) => idle.push(resolve));
      start();
      await done;
    },
  };
}

/** Commits a batch; when its data make it fail, halves it until the bad row stands alone. Never rejects. */
async function commitBatch<In, Out>(
  options: GroupCommitOptions<In, Out>,
  batch: readonly Waiting<In, Out>[],
): Promise<void> {
  const startedMs = performance.now();
  let outcomes: readonly Out[];
  try {
    outcomes = await options.commit(batch.map(({ row }) => row));
  } catch (error) {
    if (batch.length === 1 || !isOfOneRow(error)) {
      for (const { reject } of batch) reject(error);
      return;
    }
    const middle = batch.length >> 1;
    await commitBatch(options, batch.slice(0, middle));
    await commitBatch(options, batch.slice(middle));
    return;
  }
  // From here on everything is stored: nothing may lead to another commit.
  if (outcomes.length === batch.length) {
    for (const [i, { resolve }] of batch.entries()) resolve(outcomes[i] as Out);
  } else {
    const bug = new Error(`${outcomes.length} outcomes for ${batch.length} ${options.name}`);
    for (const { reject } of batch) reject(bug);
  }
  report(options, batch.length, performance.now() - startedMs);
}

/** A metric that fails is no reason to fail a write. */
function report<In, Out>({ onCommit }: GroupCommitOptions<In, Out>, rows: number, durationMs: number): void {
  try {
    onCommit?.(rows, durationMs);
  } catch {}
}

/** Whether one row of many can be to blame. A lost connection or a full disk would fail every half just the same. */
function isOfOneRow(error: unknown): boolean {
  if (!(error instanceof StorageError)) return true;
  const kind = error.fault?.kind;
  return kind === 'data' || kind === 'unique' || kind === 'other';
}
