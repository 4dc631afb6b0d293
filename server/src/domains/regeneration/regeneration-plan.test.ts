import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { divided, judgeLeftOvers, nextBatch, type RegenerationCursor } from './regeneration-plan.ts';

describe('batches', () => {
  test('of all ranges together have every number once, in whatever sizes', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100_000 }),
        fc.integer({ min: 1, max: 8 }),
        sizes,
        (total, ranges, rows) => {
          let next = 0;
          for (const { from, to } of divided(total, ranges)) {
            let after: RegenerationCursor = from;
            for (let i = 0; ; i++) {
              const asked = rows[i % rows.length] ?? 1;
              const batch = nextBatch({ after, upTo: to, rows: asked }, total);
              if (batch === null) break;
              expect(batch.after).toBe(next);
              expect(batch.last - batch.after).toBeLessThanOrEqual(asked);
              expect(batch.last).toBeGreaterThan(batch.after);
              next = batch.last;
              after = [1, batch.last];
            }
          }
          expect(next).toBe(total);
        },
      ),
    );
  });

  test('of a later pass go to its own end', () => {
    expect(nextBatch({ after: [3, 0], upTo: null, rows: 10 }, 4)).toEqual({ pass: 3, after: 0, last: 4 });
    expect(nextBatch({ after: [3, 4], upTo: null, rows: 10 }, 4)).toBeNull();
  });
});

describe('old values that are left', () => {
  const fresh = { fruitless: 0, sweeps: 0 };

  test('are swept', () => {
    expect(judgeLeftOvers(fresh, { left: 3, refusedRows: 2 })).toEqual({ kind: 'sweep' });
    expect(judgeLeftOvers({ fruitless: 4, sweeps: 30 }, { left: 3, refusedRows: 0 })).toEqual({ kind: 'sweep' });
  });

  test.each([
    ['the database refused each of them', fresh, { left: 2, refusedRows: 2 }],
    ['sweeps change nothing', { fruitless: 5, sweeps: 6 }, { left: 2, refusedRows: 0 }],
    ['they come back for ever', { fruitless: 0, sweeps: 50 }, { left: 2, refusedRows: 0 }],
  ])('are given up when %s', (_, state, found) => {
    expect(judgeLeftOvers(state, found).kind).toBe('give up');
  });
});
