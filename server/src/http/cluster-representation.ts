import { z } from 'zod';
import { formatNodeAddress } from '../core/cluster.ts';
import { formatInstant } from '../core/time.ts';
import type { ClusterNode, ClusterStatus, HotBucket, Moves } from '../storage/cluster/cluster.ts';

const bytes = z.number().meta({ description: 'Bytes.' });
const ratio = (description: string) => z.number().nullable().meta({ description });

const standbySchema = z.object({
  name: z.string(),
  address: z.string().nullable(),
  state: z.string(),
  sync_state: z.string().meta({ description: '`sync`: a commit waits for it.' }),
  lag_bytes: z.number().nullable().meta({ description: 'WAL it has not replayed; null: it has told nothing yet.' }),
});

const nodeSchema = z
  .object({
    node_id: z.int(),
    role: z.enum(['coordinator', 'worker', 'single']),
    address: z.string(),
    active: z.boolean(),
    takes_shards: z.boolean(),
    up: z
      .boolean()
      .meta({ description: 'Whether it answered. Where it did not, `fault` says why and the figures are null.' }),
    fault: z.string().nullable(),
    shards: z.int().nullable(),
    bytes: bytes.nullable(),
    rows_estimate: z.number().nullable(),
    database_bytes: bytes.nullable(),
    prepared_transactions: z.int().nullable(),
    oldest_prepared_s: z.number().nullable(),
    counts_buckets: z.boolean().nullable(),
    standbys: z.array(standbySchema),
  })
  .meta({ id: 'ClusterNode' });

const movesSchema = z
  .object({
    job_id: z.int(),
    state: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    done: z.int(),
    total: z.int(),
    phase: z.string().nullable(),
    fault: z.string().nullable(),
  })
  .meta({ id: 'ClusterMoves' });

const hotSchema = z.object({
  bucket: z.int(),
  node_id: z.int(),
  queries: z.int().meta({ description: 'In the running minute and the one before.' }),
  cpu_s: z.number(),
  customer_id: z.string().nullable().meta({
    description: 'Who has most of the newest orders of the past day in this bucket; others live there as well.',
  }),
});

export const clusterSchema = z
  .object({
    topology: z.enum(['single', 'citus']),
    at: z.string(),
    shards: z.int().meta({ description: 'Of each distributed table; 0: nothing is distributed.' }),
    skew: z.object({
      bytes: ratio('The fullest node against the mean of those that take shards; 1 = all alike.'),
      rows: ratio('The same of estimated rows.'),
    }),
    nodes: z.array(nodeSchema),
    hottest: z
      .array(hotSchema)
      .nullable()
      .meta({ description: 'null: no node counts; citus.stat_tenants_track switches it on.' }),
    moves: movesSchema.nullable().meta({ description: 'The newest rebalance or drain.' }),
  })
  .meta({ id: 'Cluster' });

export const toClusterDocument = (status: ClusterStatus): z.output<typeof clusterSchema> => ({
  topology: status.topology,
  at: formatInstant(status.at),
  shards: status.shards,
  skew: status.skew,
  nodes: status.nodes.map(toNodeDocument),
  hottest: status.hottest?.map(toHotDocument) ?? null,
  moves: status.moves === null ? null : toMovesDocument(status.moves),
});

const toNodeDocument = ({ facts, ...node }: ClusterNode): z.output<typeof nodeSchema> => ({
  node_id: node.id,
  role: node.role,
  address: formatNodeAddress(node),
  active: node.isActive,
  takes_shards: node.takesShards,
  up: facts !== null,
  fault: node.fault,
  shards: facts?.shards ?? null,
  bytes: facts?.bytes ?? null,
  rows_estimate: facts?.rowsEstimate ?? null,
  database_bytes: facts?.databaseBytes ?? null,
  prepared_transactions: facts?.prepared ?? null,
  oldest_prepared_s: facts?.oldestPreparedMs == null ? null : facts.oldestPreparedMs / 1_000,
  counts_buckets: facts?.countsBuckets ?? null,
  standbys: (facts?.standbys ?? []).map(({ syncState, lagBytes, ...standby }) => ({
    ...standby,
    sync_state: syncState,
    lag_bytes: lagBytes,
  })),
});

const toHotDocument = ({ nodeId, cpuSeconds, customerId, ...hot }: HotBucket): z.output<typeof hotSchema> => ({
  ...hot,
  node_id: nodeId,
  cpu_s: cpuSeconds,
  customer_id: customerId,
});

export const toMovesDocument = (moves: Moves): z.output<typeof movesSchema> => ({
  job_id: moves.jobId,
  state: moves.state,
  started_at: moves.startedAt === null ? null : formatInstant(moves.startedAt),
  finished_at: moves.finishedAt === null ? null : formatInstant(moves.finishedAt),
  done: moves.done,
  total: moves.total,
  phase: moves.phase,
  fault: moves.fault,
});
