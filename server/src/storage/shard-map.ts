import { type Bucket, bucketCount } from '../core/bucket.ts';
import type { Run } from './coordinator.ts';
import { statement } from './sql.ts';
import { findCitus } from './topology.ts';

const selectShards = statement<{ shards: string[] }>(
  'shards_of_buckets',
  `select array_agg(get_shard_id_for_distribution_column('orders', bucket::smallint) order by bucket)::text[] as shards
     from generate_series(0, ${bucketCount - 1}) bucket
   having exists (select from pg_dist_partition where logicalrelid = to_regclass('orders') and partmethod = 'h')`,
);

/** Which buckets stand together in a shard: what has to be one task on Citus (FOR UPDATE) may ask for the buckets of one shard only. */
export interface ShardMap {
  /**
   * The items in groups whose buckets share a shard; one group on one machine. The groups come in one order for all, so that
   * whoever locks group after group never waits for another crosswise.
   * @param run asks the database the first time
   */
  group<Item>(items: readonly Item[], bucketOf: (item: Item) => Bucket, run: Run): Promise<(readonly Item[])[]>;
  /** To be called when a statement was refused as not possible: a shard may have been split. @returns whether to try it once more */
  forget(): boolean;
}

export function createShardMap(): ShardMap {
  // undefined = not asked yet, null = there are no shards.
  let shards: readonly string[] | null | undefined;
  const load = async (run: Run): Promise<readonly string[] | null> => {
    if ((await run(findCitus())).length === 0) return null;
    const [found] = await run(selectShards());
    return found === undefined ? null : found.shards;
  };
  return {
    async group<Item>(items: readonly Item[], bucketOf: (item: Item) => Bucket, run: Run) {
      const [first] = items;
      if (first === undefined) return [];
      if (items.every((item) => bucketOf(item) === bucketOf(first))) return [items];
      if (shards === undefined) shards = await load(run);
      if (shards === null) return [items];
      const groups = new Map<string, Item[]>();
      for (const item of items) {
        const shard = shards[bucketOf(item)] ?? '';
        const group = groups.get(shard);
        if (group === undefined) groups.set(shard, [item]);
        else group.push(item);
      }
      return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
    },
    forget() {
      const wasKnown = shards !== undefined;
      shards = undefined;
      return wasKnown;
    },
  };
}
