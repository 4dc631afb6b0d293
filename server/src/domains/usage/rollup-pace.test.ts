import { describe, expect, test } from 'vitest';
import type { Instant } from '../../core/time.ts';
import { createRollupPace, maxRows } from './rollup-pace.ts';

const start = 1_800_000_000_000;

function paceAt() {
  let nowMs = start;
  const pace = createRollupPace({ clock: { now: () => nowMs as Instant }, minPauseMs: 1_000 });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { pace, pass };
}

const open = (rows: number, oldestAtMs: number | null = start) => ({
  openRows: BigInt(rows),
  oldestOpenAt: oldestAtMs as Instant | null,
});

describe('the pace of the rollup', () => {
  test('is due when a batch has waited for the pause, and the pause grows with the rollups', () => {
    const { pace, pass } = paceAt();
    expect(pace.isDue(open(10))).toBe(false);
    pass(1_000);
    expect(pace.isDue(open(10))).toBe(true);
    pace.ended({ rows: 10, durationMs: 3_000 });
    expect(pace.isDue(open(10, start + 1_000))).toBe(false);
    pass(2_999);
    expect(pace.isDue(open(10, start + 1_000))).toBe(false);
    pass(1);
    expect(pace.isDue(open(10, start + 1_000))).toBe(true);
  });

  test('is due at once when a whole transaction waits, and never without a batch', () => {
    const { pace, pass } = paceAt();
    expect(pace.isDue(open(pace.mostRows()))).toBe(true);
    pass(100_000);
    expect(pace.isDue(open(0, null))).toBe(false);
  });

  test('takes as many rows at once as fit into the time of a transaction, within bounds', () => {
    const { pace } = paceAt();
    const settle = (rowsPerMs: number): number => {
      for (let i = 0; i < 40; i++) pace.ended({ rows: pace.mostRows(), durationMs: pace.mostRows() / rowsPerMs });
      return pace.mostRows();
    };
    // 50 rows a ms for 1.8 s, but for rounding.
    expect(Math.abs(settle(50) - 90_000)).toBeLessThan(5);
    expect(settle(10_000)).toBe(maxRows);
    expect(settle(0.1)).toBe(20_000);
  });

  test('learns nothing of what a row costs from a few rows', () => {
    const { pace } = paceAt();
    const before = pace.mostRows();
    pace.ended({ rows: 5, durationMs: 900 });
    expect(pace.mostRows()).toBe(before);
  });

  test('is behind when more waits than half of what the next transaction takes, apart from what the running one sums', () => {
    const { pace } = paceAt();
    const most = pace.mostRows() / 2;
    pace.began(150_000);
    expect(pace.isBehind(open(150_000 + most))).toBe(false);
    expect(pace.isBehind(open(150_000 + most + 1))).toBe(true);
    pace.ended({ rows: 5, durationMs: 900 });
    expect(pace.isBehind(open(most))).toBe(false);
    expect(pace.isBehind(open(most + 1))).toBe(true);
  });

  test('nobody waits for a rollup that stands still', () => {
    const { pace } = paceAt();
    expect(pace.isBehind(open(10_000_000))).toBe(false);
    pace.began(100);
    expect(pace.isBehind(open(10_000_000))).toBe(true);
    pace.ended(null);
    expect(pace.isBehind(open(10_000_000))).toBe(false);
  });
});
