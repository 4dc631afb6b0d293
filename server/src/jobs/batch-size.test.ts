import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { afterCleanPart, afterRowFault, batchGoalMs, nextBatchRows } from './batch-size.ts';

const limits = { initial: 100, min: 10, max: 5_000 };
const full = (rows: number, durationMs: number) => ({ askedRows: rows, rows, durationMs });

describe('the size of batches', () => {
  test('grows by a fifth at most, however quick a batch was', () => {
    expect(nextBatchRows(limits, 1_000, full(1_000, 1))).toBe(1_200);
    expect(nextBatchRows(limits, 1_000, full(1_000, 95))).toBe(1_053);
  });

  test('shrinks at once to what fits the goal', () => {
    expect(nextBatchRows(limits, 1_000, full(1_000, 2_000))).toBe(50);
  });

  test('does not grow after a batch that the end of a range or a speed limit cut short', () => {
    expect(nextBatchRows(limits, 1_000, { askedRows: 1_000, rows: 20, durationMs: 1 })).toBe(1_000);
    expect(nextBatchRows(limits, 1_000, { askedRows: 20, rows: 20, durationMs: 1 })).toBe(1_000);
  });

  test('stays within the limits and never below one row', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000 }),
        fc.integer({ min: 0, max: 5_000 }),
        fc.double({ min: 0, max: 1e7, noNaN: true }),
        (present, rows, durationMs) => {
          const next = nextBatchRows(limits, present, {
            askedRows: present,
            rows: Math.min(rows, present),
            durationMs,
          });
          expect(next).toBeGreaterThanOrEqual(Math.min(present, limits.min));
          expect(next).toBeLessThanOrEqual(limits.max);
          expect(next).toBeLessThanOrEqual(Math.max(limits.min, present + 1, present * 1.2));
        },
      ),
    );
  });

  test('settles where a batch takes as long as it shall, whatever a row costs', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.03, max: 9, noNaN: true }), (rowMs) => {
        let rows = limits.initial;
        for (let i = 0; i < 60; i++) rows = nextBatchRows(limits, rows, full(rows, rows * rowMs));
        expect(Math.abs(rows * rowMs - batchGoalMs)).toBeLessThanOrEqual(rowMs + 1);
      }),
    );
  });
});

test('halving finds the one bad row of a batch in at most two steps a power of two', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4_096 }), fc.nat(), (rows, seed) => {
      const bad = seed % rows;
      let at = 0;
      let steps = 0;
      let { suspectRows, askRows } = afterRowFault(rows);
      while (!(at === bad && askRows === 1)) {
        expect(++steps).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(rows)) + 2);
        const fails = bad >= at && bad < at + askRows;
        if (fails) ({ suspectRows, askRows } = afterRowFault(askRows));
        else {
          at += askRows;
          ({ suspectRows, askRows } = afterCleanPart(suspectRows, askRows));
          expect(suspectRows).toBeGreaterThan(0);
        }
      }
    }),
  );
});
