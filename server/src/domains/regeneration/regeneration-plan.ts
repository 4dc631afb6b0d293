/** A table in milliard_jobs with keys and old values, numbered from 1 on in the order of the key. */
export interface OldValues {
  readonly name: string;
}

const bare = (runId: string): string => runId.replaceAll('-', '');

/** The tables of a run. The names hold nothing but the digits of its id, so they may be part of SQL. */
export const oldValues = {
  /** The values that were visible at the start. */
  before: (runId: string): OldValues => ({ name: `before_${bare(runId)}` }),
  /** What was found again at the end of a pass, for the next one; passes count from 1, which has `before`. */
  leftOver: (runId: string, pass: number): OldValues => ({ name: `again_${bare(runId)}_${pass}` }),
  leftOverPrefix: (runId: string): string => `again_${bare(runId)}_`,
} as const;

/** How far a run is: in which pass, and up to which number of the pass's values. */
export type RegenerationCursor = readonly [pass: number, n: number];

/** Numbers of a pass that one batch does: those behind `after`, `last` included. */
export interface Batch {
  readonly pass: number;
  readonly after: number;
  readonly last: number;
}

/** The next batch of a pass with `total` values; null = the pass, or the range up to `upTo`, is at its end. */
export function nextBatch(
  { after, upTo, rows }: { after: RegenerationCursor | null; upTo: RegenerationCursor | null; rows: number },
  total: number,
): Batch | null {
  const [pass, from] = after ?? [1, 0];
  const end = Math.min(total, upTo?.[1] ?? total);
  return from >= end ? null : { pass, after: from, last: Math.min(end, from + rows) };
}

// Fewer rows are done before a second connection has warmed up.
const worthDividing = 20_000;

/** Cuts the first pass into ranges of the same size, which are worked at at once. */
export function divided(
  total: number,
  ranges: number,
): readonly { from: RegenerationCursor; to: RegenerationCursor | null }[] {
  const count = total < worthDividing ? 1 : ranges;
  const edges = Array.from({ length: count + 1 }, (_, i) => Math.round((total * i) / count));
  return edges.slice(1).map((to, i) => ({ from: [1, edges[i] ?? 0], to: [1, to] }));
}

/** What the sweeps of this process did so far. */
export interface SweepState {
  /** Passes that replaced nothing, one after another. */
  readonly fruitless: number;
  readonly sweeps: number;
}

// A row may move away from a sweep again and again, but hardly so often.
const fruitlessAtMost = 5;
// Whoever writes old values back all the time would keep a run going for ever.
const sweepsAtMost = 50;

export type SweepVerdict = { readonly kind: 'sweep' } | { readonly kind: 'give up'; readonly reason: string };

/**
 * Old values were found at the end of a pass: whether another pass may help.
 * @param refusedRows how many of them are rows that the database refused to change in this process
 */
export function judgeLeftOvers(
  { fruitless, sweeps }: SweepState,
  { left, refusedRows }: { left: number; refusedRows: number },
): SweepVerdict {
  if (left > 0 && refusedRows === left)
    return {
      kind: 'give up',
      reason:
        'The database refuses to change them: `milliard jobs errors` says why. Mend the cause, then resume the run; it tries them again.',
    };
  if (fruitless >= fruitlessAtMost)
    return {
      kind: 'give up',
      reason: `${fruitlessAtMost} sweeps changed none of them: something puts old values back at once, a trigger perhaps. Mend it, then resume the run.`,
    };
  if (sweeps >= sweepsAtMost)
    return {
      kind: 'give up',
      reason: `After ${sweepsAtMost} sweeps an application still writes old values back. Restart it, so that it forgets them, then resume the run.`,
    };
  return { kind: 'sweep' };
}
