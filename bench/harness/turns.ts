export type Workload<T> = (seconds: number) => Promise<T>;

export interface Turns {
  readonly rounds: number;
  /** Of each workload in each round. */
  readonly seconds: number;
  /** Null: none. */
  readonly warmUpSeconds: number | null;
}

/**
 * Each workload once a round, after a round that warms up: what else the machine does then falls on all of them, and does not make
 * a ratio. Every other round goes backwards, so that none is always measured behind the same one.
 */
export async function inTurns<N extends string, T>(
  workloads: Readonly<Record<N, Workload<T>>>,
  { rounds, seconds, warmUpSeconds }: Turns,
): Promise<Record<N, T[]>> {
  const named = Object.entries(workloads) as [N, Workload<T>][];
  const results = Object.fromEntries(named.map(([name]) => [name, [] as T[]])) as Record<N, T[]>;
  if (warmUpSeconds !== null) for (const [, run] of named) await run(warmUpSeconds);
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of round % 2 === 0 ? named : named.toReversed()) results[name].push(await run(seconds));
  return results;
}
