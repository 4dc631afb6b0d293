import type { Database } from '../../server/src/storage/database.ts';
import type { Statement } from '../../server/src/storage/sql.ts';

/** What a cluster did for a statement. */
export interface Touched {
  readonly tasks: number;
  /** Rows that were read from tables and indexes, those included that a condition then left out, by node. */
  readonly rows: ReadonlyMap<string, number>;
}

interface Plan {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly Plan[];
}

interface Job {
  readonly 'Task Count': number;
  readonly Tasks: readonly {
    readonly Node: string;
    readonly 'Remote Plan': readonly (readonly { readonly Plan: Plan }[])[];
  }[];
}

/** Runs a read and looks at what every task of it did. */
export async function touchedBy(db: Database, { text, values }: Statement<unknown>): Promise<Touched> {
  const explained = await db.transaction(async (tx) => {
    await tx.run({ text: 'set local citus.explain_all_tasks = on', values: [] });
    return tx.run<{ 'QUERY PLAN': unknown }>({
      text: `explain (analyze, timing off, format json) ${text}`,
      values,
    });
  });
  const rows = new Map<string, number>();
  let tasks = 0;
  for (const job of jobsIn(explained[0]?.['QUERY PLAN'])) {
    tasks += job['Task Count'];
    for (const { Node: node, 'Remote Plan': remote } of job.Tasks)
      for (const { Plan: plan } of remote.flat()) rows.set(node, (rows.get(node) ?? 0) + readBy(plan));
  }
  return { tasks, rows };
}

/** Every job that stands anywhere in a plan: of the query itself and of what is run before it. */
function jobsIn(part: unknown): Job[] {
  if (Array.isArray(part)) return part.flatMap(jobsIn);
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([name, value]) => (name === 'Job' ? [value as Job] : jobsIn(value)));
}

function readBy(plan: Plan): number {
  const below = (plan.Plans ?? []).reduce((sum, one) => sum + readBy(one), 0);
  if (plan['Relation Name'] === undefined) return below;
  const each =
    (plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Index Recheck'] ?? 0);
  return below + each * (plan['Actual Loops'] ?? 0);
}
