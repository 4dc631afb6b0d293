/** What the figures are made of: only what the present process did; pure, times in milliseconds of its active time. */
export interface Progress {
  readonly startedAtMs: number;
  readonly lastAtMs: number;
  readonly rows: number;
  readonly batches: number;
  /** Rows and time with exponentially fading weights: their quotient is the rate over the last batches. */
  readonly weightedRows: number;
  readonly weightedMs: number;
}

export interface ProgressFigures {
  /** Rows a second. null = nothing was done yet. */
  readonly rateNow: number | null;
  readonly rateMean: number | null;
  readonly remainingMs: number | null;
}

/** Before so many batches of this process nobody knows how long it takes: right after a resume neither. */
export const batchesBeforeEstimate = 5;

const shortestHalfLifeMs = 30_000;
const halfLifeBatches = 5;

export const startProgress = (atMs: number): Progress => ({
  startedAtMs: atMs,
  lastAtMs: atMs,
  rows: 0,
  batches: 0,
  weightedRows: 0,
  weightedMs: 0,
});

/** A batch was committed. */
export function batchDone(progress: Progress, atMs: number, rows: number): Progress {
  const elapsedMs = Math.max(0, atMs - progress.lastAtMs);
  const batches = progress.batches + 1;
  const fading = 0.5 ** (elapsedMs / halfLifeMs(atMs - progress.startedAtMs, batches));
  return {
    ...progress,
    lastAtMs: Math.max(atMs, progress.lastAtMs),
    rows: progress.rows + rows,
    batches,
    weightedRows: progress.weightedRows * fading + rows,
    weightedMs: progress.weightedMs * fading + elapsedMs,
  };
}

const halfLifeMs = (activeMs: number, batches: number): number =>
  Math.max(shortestHalfLifeMs, halfLifeBatches * (Math.max(0, activeMs) / batches));

/**
 * How it stands at a moment. Time without a batch counts as slowness once it is longer than two usual batches: a run that is
 * held up shows it.
 * @param leftRows rows still to be done; null = nobody knows
 */
export function figuresAt(progress: Progress, atMs: number, leftRows: number | null): ProgressFigures {
  const { batches, rows } = progress;
  const elapsedMs = Math.max(atMs, progress.lastAtMs) - progress.startedAtMs;
  if (batches === 0 || rows === 0 || elapsedMs <= 0) return { rateNow: null, rateMean: null, remainingMs: null };
  const usualMs = (progress.lastAtMs - progress.startedAtMs) / batches;
  const stalledMs = Math.max(0, atMs - progress.lastAtMs - 2 * usualMs);
  const nowMs = progress.weightedMs + stalledMs;
  const meanMs = progress.lastAtMs - progress.startedAtMs + stalledMs;
  const rateNow = nowMs > 0 ? (progress.weightedRows / nowMs) * 1_000 : null;
  const rateMean = meanMs > 0 ? (rows / meanMs) * 1_000 : null;
  return { rateNow, rateMean, remainingMs: remaining({ batches, rateNow, rateMean }, leftRows) };
}

/** The mean of what both rates predict: the one follows a change, the other does not follow every whim. */
function remaining(
  { batches, rateNow, rateMean }: { batches: number; rateNow: number | null; rateMean: number | null },
  leftRows: number | null,
): number | null {
  if (leftRows === null || batches < batchesBeforeEstimate || rateNow === null || rateMean === null) return null;
  if (leftRows <= 0) return 0;
  return ((leftRows / rateNow + leftRows / rateMean) / 2) * 1_000;
}

/** Done of the total, from 0 to 1, never above; null = there is no total. */
export function fractionDone(doneRows: number, total: { readonly rows: number } | null): number | null {
  if (total === null) return null;
  if (total.rows <= 0) return 1;
  return Math.min(1, Math.max(0, doneRows / total.rows));
}
