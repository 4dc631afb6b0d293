import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';

/** How many orders each worker of a cluster holds, counted one by one; workers without shards have no entry. */
export async function ordersOfNodes(db: Database): Promise<ReadonlyMap<string, number>> {
  const rows = await db.query(
    dynamic<{ node: string; orders: number }>(sql`
      select nodename || ':' || nodeport as node, sum(result::bigint)::int as orders
        from run_command_on_placements('orders', 'select count(*) from %s') group by 1 order by 1`),
  );
  return new Map(rows.map(({ node, orders }) => [node, orders]));
}

/** The fullest node over the mean: 1 = all alike. */
export function skewOf(counts: Iterable<number>): number {
  const all = [...counts];
  return (Math.max(...all) * all.length) / all.reduce((sum, count) => sum + count, 0);
}

/** What each node got in between. */
export const addedTo = (
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> => new Map([...after].map(([node, orders]) => [node, orders - (before.get(node) ?? 0)]));
