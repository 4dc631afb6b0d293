/** What the shards do of an explained statement, wherever it stands in the plan of the cluster (citus.explain_all_tasks). */
export function shardPlans<Node>(plan: unknown): Node[] {
  if (plan === null || typeof plan !== 'object') return [];
  return Object.entries(plan).flatMap(([name, value]) =>
    name === 'Remote Plan' ? (value as [{ Plan: Node }][]).map(([task]) => task.Plan) : shardPlans<Node>(value),
  );
}

/** The table that a shard, whose name carries its number, is of. */
export const tableOfShard = (relation: string): string => relation.replace(/_\d{6,}$/, '');
