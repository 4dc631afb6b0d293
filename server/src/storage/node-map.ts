import { type Bucket, bucketCount } from '../core/bucket.ts';
import { keepLooking } from '../core/keep-looking.ts';
import type { Logger } from '../core/ports.ts';
import { minuteMs } from '../core/time.ts';
import type { Database } from './database.ts';
import { statement } from './sql.ts';

const selectNodes = statement<{ nodes: number[] }>(
  'nodes_of_buckets',
  `select array_agg(p.groupid order by b.bucket) as nodes
     from (select bucket, get_shard_id_for_distribution_column('orders', bucket::smallint) as shard from generate_series(0, ${bucketCount - 1}) bucket) b
     join pg_dist_placement p on p.shardid = b.shard
   having exists (select from pg_dist_partition where logicalrelid = to_regclass('orders') and partmethod = 'h')`,
);

/** Which node of a cluster holds a bucket. */
export interface NodeMap {
  /** A number that the buckets of one node share. What was moved is found at its new node a minute later. */
  nodeOf(bucket: Bucket): number;
  close(): void;
}

/** For one machine. */
export const oneNode: NodeMap = { nodeOf: () => 0, close() {} };

export interface NodeMapDeps {
  readonly db: Pick<Database, 'query'>;
  readonly logger: Logger;
  readonly everyMs?: number;
}

/** Asks a cluster now and every minute. */
export async function openNodeMap({ db, logger, everyMs = minuteMs }: NodeMapDeps): Promise<NodeMap> {
  let nodes: readonly number[] = [];
  const look = async (): Promise<void> => {
    const [found] = await db.query(selectNodes());
    nodes = found?.nodes ?? [];
  };
  await look();
  const failure = 'could not look where the shards are; trying again in a minute';
  const looking = keepLooking(look, { everyMs, first: 'later', logger, failure });
  return { nodeOf: (bucket) => nodes[bucket] ?? 0, close: () => void looking.close() };
}
