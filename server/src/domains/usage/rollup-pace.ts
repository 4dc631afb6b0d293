import type { Clock, Instant } from '../../core/time.ts';

/** What is open in the ledger. */
interface Open {
  readonly openRows: bigint;
  readonly oldestOpenAt: Instant | null;
}

/** When a rollup is due, how much it takes at once, and whether writers ought to wait for it. */
export interface RollupPace {
  /** Rows of one transaction: as many as the last ones would have summed in the time that one may take. */
  mostRows(): number;
  /** The age of the oldest batch tells, so that several servers together roll up as often as one. */
  isDue(open: Open): boolean;
  /** A transaction has begun that sums so many rows; they are open until it has ended. */
  began(rows: number): void;
  /** It ended, `null` without a result. */
  ended(report: { readonly rows: number; readonly durationMs: number } | null): void;
  /** Whether more waits than half of what the next transaction takes (parts under way come on top), and the rollup moves at all. */
  isBehind(open: Open): boolean;
}

/** A transaction's worth at most. */
export const maxRows = 1_000_000;
const minRows = 20_000;
const firstRows = 200_000;
// A record waits for the transaction that runs when it comes and then for its own, and the sums are to be within 5 s. Short ones
// cost more a row, where there are millions of sums: 15 us at 200,000 rows, 24 us at 40,000.
const transactionMs = 1_800;
const maxPauseMs = 30_000;
// Nobody waits for a rollup that stands still, whatever holds it up.
const movedMs = 5_000;

export function createRollupPace({
  clock,
  minPauseMs,
}: {
  readonly clock: Clock;
  /** A batch waits so long at least; longer when a rollup takes longer. */
  readonly minPauseMs: number;
}): RollupPace {
  let pauseMs = minPauseMs;
  let mostRows = firstRows;
  let runningRows = 0;
  let endedAtMs = Number.NEGATIVE_INFINITY;
  // Clocks may differ: what this server has seen waiting for so long is due as well.
  let waitsSinceMs: number | null = null;
  return {
    mostRows: () => mostRows,
    isDue({ oldestOpenAt, openRows }) {
      if (oldestOpenAt === null) waitsSinceMs = null;
      else waitsSinceMs ??= performance.now();
      if (oldestOpenAt === null || waitsSinceMs === null) return false;
      const waitedMs = Math.max(clock.now() - oldestOpenAt, performance.now() - waitsSinceMs);
      return waitedMs >= pauseMs || openRows >= BigInt(mostRows);
    },
    began(rows) {
      runningRows = rows;
    },
    ended(report) {
      runningRows = 0;
      if (report === null) return;
      const { rows, durationMs } = report;
      endedAtMs = performance.now();
      waitsSinceMs = null;
      pauseMs = Math.min(maxPauseMs, Math.max(minPauseMs, durationMs));
      // Few rows tell what a transaction costs, not what a row does.
      if (rows < minRows) return;
      const fitting = (rows / durationMs) * transactionMs;
      mostRows = Math.round(Math.min(maxRows, Math.max(minRows, (mostRows + fitting) / 2)));
    },
    isBehind: ({ openRows }) =>
      Number(openRows) - runningRows > mostRows / 2 && (runningRows > 0 || performance.now() - endedAtMs < movedMs),
  };
}
