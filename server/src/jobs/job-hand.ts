import { setTimeout as delay } from 'node:timers/promises';
import type { JobRun, JobState } from './job.ts';
import type { Claim } from './job-claim.ts';
import { createGate, type Gate } from './job-gate.ts';
import { createMeter, type Meter } from './job-meter.ts';
import type { Figures, Told } from './job-range-queries.ts';
import { runOf } from './job-run-row.ts';

/** Why this process stops working at a run. */
export type StopCause =
  /** Its signal was aborted. */
  | { readonly kind: 'asked' }
  /** Another claim has a higher fence. */
  | { readonly kind: 'lost' }
  /** Somebody paused, cancelled or resumed it. */
  | { readonly kind: 'state'; readonly state: JobState }
  | { readonly kind: 'failed'; readonly message: string };

/** A run in the hands of this process: what its workers share. */
export interface Hand {
  readonly claim: Claim;
  /** Aborted when the workers shall stop. */
  readonly signal: AbortSignal;
  readonly meter: Meter;
  readonly gate: Gate;
  cause(): StopCause | null;
  /** The first cause counts, but a lost run is lost whatever came before. */
  stop(cause: StopCause): void;
  /** What the database said about state and throttle. */
  told(told: Told): void;
  /** A batch was committed. */
  committed(batch: { rows: number; failedRows: number; counts: Readonly<Record<string, number>> }): void;
  /** Waits, or less when the run is stopped. */
  pause(ms: number): Promise<void>;
  figures(): Figures;
  /** The run as it stands now, without asking the database. */
  live(): JobRun;
}

export function createHand(claim: Claim): Hand {
  const atClaim = runOf(claim.row);
  const startedMs = performance.now();
  const now = () => performance.now() - startedMs;
  const stopper = new AbortController();
  const { signal } = stopper;
  let cause: StopCause | null = null;
  let { state } = atClaim;

  const pause = async (ms: number): Promise<void> => {
    await delay(ms, undefined, { signal }).catch(() => {});
  };
  const meter = createMeter(atClaim, now);
  const gate = createGate({ now, pause, signal }, atClaim.throttle);
  const stop = (why: StopCause): void => {
    if (cause === null || why.kind === 'lost') cause = why;
    stopper.abort();
  };
  const figures = (): Figures => ({
    ...meter.figures(),
    activeMs: atClaim.activeMs + now(),
    throttledMs: atClaim.throttledMs + gate.throttledMs(),
    waitReason: gate.waitReason(),
  });

  return {
    claim,
    signal,
    meter,
    gate,
    cause: () => cause,
    stop,
    told(told) {
      state = told.state;
      if (gate.setThrottle(told.throttle)) meter.restart();
      // Somebody who tidies up after a cancel is not stopped by it.
      if (state !== 'running' && atClaim.state === 'running') stop({ kind: 'state', state });
    },
    committed(batch) {
      meter.committed(batch);
      gate.spent(batch.rows);
    },
    pause,
    figures,
    live: () => ({ ...atClaim, ...figures(), ...meter.counted(), state, throttle: gate.throttle() }),
  };
}
