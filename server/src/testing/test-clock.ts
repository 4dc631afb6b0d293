import type { Clock, Instant } from '../core/time.ts';

/** What the clock of the tests shows until one sets it. */
export const testNow = Date.parse('2025-06-30T12:30:00Z') as Instant;

/** A clock that stands still. */
export type TestClock = Clock & { set(at: number): void };

export function createTestClock(): TestClock {
  let now: number = testNow;
  return {
    now: () => now as Instant,
    set(at) {
      now = at;
    },
  };
}
