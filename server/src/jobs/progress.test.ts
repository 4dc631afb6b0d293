import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchDone, batchesBeforeEstimate, figuresAt, fractionDone, type Progress, startProgress } from './progress.ts';

interface Batch {
  readonly ms: number;
  readonly rows: number;
}

const after = (batches: readonly Batch[], startMs = 0): { progress: Progress; atMs: number; rows: number } => {
  let progress = startProgress(startMs);
  let atMs = startMs;
  let rows = 0;
  for (const batch of batches) {
    atMs += batch.ms;
    rows += batch.rows;
    progress = batchDone(progress, atMs, batch.rows);
  }
  return { progress, atMs, rows };
};

const batch = fc.record({
  ms: fc.double({ min: 1, max: 60_000, noNaN: true }),
  rows: fc.integer({ min: 0, max: 1e6 }),
});
const someBatches = fc.array(batch, { minLength: 1, maxLength: 60 });

describe('the remaining time', () => {
  test('is not known before five batches of this process, then it is', () => {
    fc.assert(
      fc.property(someBatches, fc.integer({ min: 1, max: 1e9 }), (batches, left) => {
        const { progress, atMs, rows } = after(batches);
        const { remainingMs } = figuresAt(progress, atMs, left);
        if (batches.length < batchesBeforeEstimate || rows === 0) expect(remainingMs).toBeNull();
        else expect(remainingMs).toBeGreaterThan(0);
      }),
    );
  });

  test('is not known where nobody knows what is left, and none when nothing is left', () => {
    const { progress, atMs } = after(Array.from({ length: 10 }, () => ({ ms: 100, rows: 50 })));
    expect(figuresAt(progress, atMs, null).remainingMs).toBeNull();
    expect(figuresAt(progress, atMs, 0).remainingMs).toBe(0);
  });

  test('is exact at a steady speed, wherever this process began', () => {
    fc.assert(
      fc.property(
        fc.record({
          n: fc.integer({ min: 5, max: 200 }),
          ms: fc.integer({ min: 1, max: 5_000 }),
          rows: fc.integer({ min: 1, max: 10_000 }),
          startMs: fc.integer({ min: 0, max: 1e7 }),
        }),
        ({ n, ms, rows, startMs }) => {
          const { progress, atMs } = after(
            Array.from({ length: n }, () => ({ ms, rows })),
            startMs,
          );
          const left = 1_000_000;
          expect(figuresAt(progress, atMs, left).remainingMs ?? 0).toBeCloseTo((left / rows) * ms, 0);
        },
      ),
    );
  });

  test('is off by less than 30 % of the whole after the first tenth, at a speed that varies threefold', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 50, max: 150, noNaN: true }), { minLength: 600, maxLength: 700 }),
        (times) => {
          const totalMs = times.reduce((sum, ms) => sum + ms, 0);
          let progress = startProgress(0);
          let atMs = 0;
          for (const [i, ms] of times.entries()) {
            atMs += ms;
            progress = batchDone(progress, atMs, 100);
            if (i < times.length / 10) continue;
            const remainingMs = figuresAt(progress, atMs, (times.length - 1 - i) * 100).remainingMs ?? Number.NaN;
            expect(Math.abs(remainingMs - (totalMs - atMs))).toBeLessThan(0.3 * totalMs);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('never falls below what the quicker of both rates says, nor rises above the slower', () => {
    fc.assert(
      fc.property(someBatches, fc.integer({ min: 1, max: 1e9 }), fc.nat(1e6), (batches, left, laterMs) => {
        const { progress, atMs } = after(batches);
        const { rateNow, rateMean, remainingMs } = figuresAt(progress, atMs + laterMs, left);
        if (remainingMs === null || rateNow === null || rateMean === null) return;
        const [quick, slow] = [Math.max(rateNow, rateMean), Math.min(rateNow, rateMean)];
        expect(remainingMs).toBeGreaterThanOrEqual((left / quick) * 1_000 * 0.999);
        expect(remainingMs).toBeLessThanOrEqual((left / slow) * 1_000 * 1.001);
      }),
    );
  });
});

describe('the rates', () => {
  test('follow a change: after four half-lives the present rate is near the new one, the mean still between', () => {
    const slow = Array.from({ length: 600 }, () => ({ ms: 100, rows: 10 }));
    const quick = Array.from({ length: 1_200 }, () => ({ ms: 100, rows: 100 }));
    const { progress, atMs } = after([...slow, ...quick]);
    const { rateNow, rateMean } = figuresAt(progress, atMs, null);
    expect(rateNow ?? 0).toBeGreaterThan(930);
    expect(rateMean ?? 0).toBeCloseTo((600 * 10 + 1_200 * 100) / 180, 3);
  });

  test('of long batches fade over five batches, not over half a minute', () => {
    const { progress, atMs } = after([
      ...Array.from({ length: 5 }, () => ({ ms: 60_000, rows: 100 })),
      { ms: 60_000, rows: 400 },
    ]);
    // One quick batch of six: with a half-life of 30 s it would weigh three quarters.
    expect(figuresAt(progress, atMs, null).rateNow ?? 0).toBeLessThan(3);
  });

  test('fall while no batch ends, and not before two usual batches have passed', () => {
    const { progress, atMs } = after(Array.from({ length: 20 }, () => ({ ms: 100, rows: 10 })));
    const rateAt = (ms: number) => figuresAt(progress, atMs + ms, 1_000).rateNow ?? Number.NaN;
    expect(rateAt(0)).toBeCloseTo(100);
    expect(rateAt(200)).toBeCloseTo(100);
    expect(rateAt(2_000)).toBeLessThan(60);
    expect(rateAt(20_000)).toBeLessThan(rateAt(2_000));
  });

  test('are finite and never negative, even when a clock stands still', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ ms: fc.integer({ min: -5, max: 5 }), rows: fc.nat(10) }), { maxLength: 40 }),
        (batches) => {
          const { progress, atMs } = after(batches);
          for (const rate of Object.values(figuresAt(progress, atMs, 100)))
            if (rate !== null) {
              expect(Number.isFinite(rate)).toBe(true);
              expect(rate).toBeGreaterThanOrEqual(0);
            }
        },
      ),
    );
  });
});

test('what is done is a part of the whole from 0 to 1, whatever the estimate was', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (done, rows) => {
      const fraction = fractionDone(done, { rows }) ?? Number.NaN;
      expect(fraction).toBeGreaterThanOrEqual(0);
      expect(fraction).toBeLessThanOrEqual(1);
    }),
  );
  expect(fractionDone(5, null)).toBeNull();
});
