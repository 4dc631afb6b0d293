import type { JobThrottle } from './job.ts';
import {
  type LoadSignals,
  noDebt,
  owe,
  quiet,
  type RateLimit,
  reasonOfRate,
  reasonToWait,
  waitMs,
} from './throttle.ts';

/** Where a reason to wait comes from; the first of them that has one is shown. */
const waitSources = ['database', 'trouble', 'load', 'rate', 'kind'] as const;
export type WaitSource = (typeof waitSources)[number];

/** What every batch passes before it begins, and why it has to wait there. */
export interface Gate {
  /** Waits for as long as the throttle says, or until the run is stopped. */
  untilFree(): Promise<void>;
  /** @returns whether the speed was changed by it */
  setThrottle(throttle: JobThrottle): boolean;
  throttle(): JobThrottle;
  setLoad(signals: LoadSignals): void;
  /** So many rows were done. */
  spent(rows: number): void;
  wait(source: WaitSource, reason: string | null): void;
  waitReason(): string | null;
  throttledMs(): number;
}

export interface GateDeps {
  /** Milliseconds since the claim. */
  readonly now: () => number;
  /** Returns early when the run is stopped. */
  readonly pause: (ms: number) => Promise<void>;
  readonly signal: AbortSignal;
}

// Waits are cut into such steps: a throttle may be changed meanwhile.
const stepMs = 200;

export function createGate({ now, pause, signal }: GateDeps, first: JobThrottle): Gate {
  const reasons = new Map<WaitSource, string>();
  const throttled = stopwatch(now);
  let throttle = first;
  let load: LoadSignals = quiet;
  let debt: RateLimit = noDebt(0);

  const wait = (source: WaitSource, reason: string | null): void => {
    if (reason === null) reasons.delete(source);
    else reasons.set(source, reason);
  };
  const owedMs = () => waitMs(debt, now(), throttle.rowsPerSecond);

  return {
    async untilFree() {
      const leave = throttled.enter();
      while (!signal.aborted && reasons.has('load')) await pause(stepMs / 2);
      const { rowsPerSecond } = throttle;
      wait('rate', owedMs() > 0 && rowsPerSecond !== null ? reasonOfRate(rowsPerSecond) : null);
      while (!signal.aborted && owedMs() > 0) await pause(Math.min(owedMs(), stepMs));
      leave();
    },
    setThrottle(next) {
      const isOtherSpeed = next.rowsPerSecond !== throttle.rowsPerSecond;
      throttle = next;
      if (isOtherSpeed) debt = noDebt(now());
      wait('load', reasonToWait(throttle, load));
      return isOtherSpeed;
    },
    throttle: () => throttle,
    setLoad(signals) {
      load = signals;
      wait('load', reasonToWait(throttle, load));
    },
    spent(rows) {
      const { rowsPerSecond } = throttle;
      debt = rowsPerSecond === null ? noDebt(now()) : owe(debt, now(), { rows, rowsPerSecond });
    },
    wait,
    waitReason: () => waitSources.map((source) => reasons.get(source)).find((reason) => reason !== undefined) ?? null,
    throttledMs: throttled.totalMs,
  };
}

/** Adds up the time in which at least one of several is inside. */
function stopwatch(now: () => number): { enter(): () => void; totalMs(): number } {
  let inside = 0;
  let sinceMs = 0;
  let sumMs = 0;
  return {
    enter() {
      if (inside++ === 0) sinceMs = now();
      return () => {
        if (--inside === 0) sumMs += now() - sinceMs;
      };
    },
    totalMs: () => sumMs + (inside > 0 ? now() - sinceMs : 0),
  };
}
