import { type Bucket, bucketCount } from '../core/bucket.ts';
import type { NodeAddress } from '../core/cluster.ts';
import { keepLooking } from '../core/keep-looking.ts';
import type { Logger } from '../core/ports.ts';
import type { Database } from './database.ts';
import { statement } from './sql.ts';

interface NodeOfCluster extends NodeAddress {
  readonly node: number;
}

// Nodes that were not told of all tables and shards cannot answer for the others, so nobody is sent there.
const selectNodes = statement<{ nodes: number[] | null; addresses: NodeOfCluster[] }>(
  'nodes_of_buckets',
  `select array_agg(p.groupid order by b.bucket) as nodes,
          (select coalesce(json_agg(json_build_object('node', groupid, 'host', nodename, 'port', nodeport)), '[]'::json)
             from pg_dist_node where noderole = 'primary' and isactive and hasmetadata and metadatasynced) as addresses
     from (select bucket, get_shard_id_for_distribution_column('orders', bucket::smallint) as shard from generate_series(0, ${bucketCount - 1}) bucket) b
     join pg_dist_placement p on p.shardid = b.shard
   having exists (select from pg_dist_partition where logicalrelid = to_regclass('orders') and partmethod = 'h')`,
);

/** Which node of a cluster holds a bucket. */
export interface NodeMap {
  /** A number that the buckets of one node share. What was moved is found at its new node at the next look. */
  nodeOf(bucket: Bucket): number;
  /** Null for a node that is not there, and for all of them while the last good look is older than `trustedMs`. */
  addressOf(node: number): NodeAddress | null;
  /** How many looks have succeeded. */
  looks(): number;
  close(): void;
}

/** For one machine. */
export const oneNode: NodeMap = { nodeOf: () => 0, addressOf: () => null, looks: () => 0, close() {} };

const everyMs = 10_000;

/**
 * How long a process may send statements to a node after it last saw that rows stand there. Whoever takes a node out of a cluster
 * waits longer after the last row has left it: a node that is out is told of no move, and would look for rows where they were.
 */
export const trustedMs = 2 * everyMs;

export interface NodeMapDeps {
  readonly db: Pick<Database, 'query'>;
  readonly logger: Logger;
}

/** Asks a cluster now and every ten seconds. */
export async function openNodeMap({ db, logger }: NodeMapDeps): Promise<NodeMap> {
  let nodes: readonly number[] = [];
  let addresses: ReadonlyMap<number, NodeAddress> = new Map();
  let looks = 0;
  let looked = clocks();
  const look = async (): Promise<void> => {
    // What the answer says was true when it was asked for, or later.
    const asked = clocks();
    const [found] = await db.query(selectNodes());
    nodes = found?.nodes ?? [];
    addresses = new Map(found?.addresses.map(({ node, host, port }) => [node, { host, port }]));
    looked = asked;
    looks++;
  };
  await look();
  const failure = 'could not look where the shards are; trying again in ten seconds';
  const looking = keepLooking(look, { everyMs, first: 'later', logger, failure });
  return {
    nodeOf: (bucket) => nodes[bucket] ?? 0,
    addressOf: (node) => (msSince(looked) < trustedMs ? (addresses.get(node) ?? null) : null),
    looks: () => looks,
    close: () => void looking.close(),
  };
}

// The steady clock stands still while a machine sleeps; the other one may be set back.
const clocks = () => ({ steadyMs: performance.now(), wallMs: Date.now() });
const msSince = ({ steadyMs, wallMs }: ReturnType<typeof clocks>): number =>
  Math.max(performance.now() - steadyMs, Date.now() - wallMs);
