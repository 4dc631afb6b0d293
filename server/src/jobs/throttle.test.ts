import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkThrottle,
  noDebt,
  owe,
  quiet,
  reasonToWait,
  rowsAtOnce,
  segmentsBetween,
  standardThrottle,
  waitMs,
} from './throttle.ts';

describe('a run waits', () => {
  test.each([
    [
      'a replica too far behind',
      { replica: { name: 'eu', lagMs: 12_345 } },
      'replica eu is 12.3 s behind (limit 10 s)',
    ],
    ['a replica just within the limit', { replica: { name: 'eu', lagMs: 10_000 } }, null],
    ['WAL that is not archived', { archiveBacklogSegments: 65 }, '65 WAL segments wait for the archive (limit 64)'],
    ['a vacuum of its table', { vacuum: { table: 'tickets', yieldedMs: 5_000 } }, 'table tickets is being vacuumed'],
    ['a vacuum that takes for ever', { vacuum: { table: 'tickets', yieldedMs: 60_000 } }, null],
    ['nothing', {}, null],
  ])('for %s', (_name, signals, reason) => {
    expect(reasonToWait(standardThrottle, { ...quiet, ...signals })).toBe(reason);
  });

  test('for nothing where the limits are taken away', () => {
    const signals = {
      replica: { name: 'eu', lagMs: 1e9 },
      archiveBacklogSegments: 1e9,
      vacuum: { table: 't', yieldedMs: 0 },
    };
    const none = { ...standardThrottle, maxReplicaLagMs: null, maxArchiveBacklogSegments: null, yieldsToVacuum: false };
    expect(reasonToWait(none, signals)).toBeNull();
  });
});

describe('a speed limit', () => {
  test('is kept on the whole, whatever the sizes of the batches and their times', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.array(fc.record({ rows: fc.integer({ min: 1, max: 10_000 }), workMs: fc.nat(500) }), { minLength: 3 }),
        (rowsPerSecond, batches) => {
          let debt = noDebt(0);
          let atMs = 0;
          let rows = 0;
          for (const batch of batches) {
            atMs += batch.workMs;
            debt = owe(debt, atMs, { rows: batch.rows, rowsPerSecond });
            rows += batch.rows;
            atMs += waitMs(debt, atMs, rowsPerSecond) > 0 ? waitMs(debt, atMs, rowsPerSecond) : 0;
          }
          // Of unused time a tenth of a second may be caught up.
          expect(rows).toBeLessThanOrEqual(((atMs + 100) / 1_000) * rowsPerSecond + 1);
        },
      ),
    );
  });

  test('is reached when the work is quicker than the limit', () => {
    let debt = noDebt(0);
    let atMs = 0;
    for (let i = 0; i < 100; i++) {
      atMs += 10;
      debt = owe(debt, atMs, { rows: 50, rowsPerSecond: 200 });
      atMs += Math.max(0, waitMs(debt, atMs, 200));
    }
    expect((100 * 50) / (atMs / 1_000)).toBeCloseTo(200, 0);
  });

  test('makes batches of a quarter of a second, of one row at least', () => {
    expect(rowsAtOnce(1_000, 200)).toBe(50);
    expect(rowsAtOnce(1_000, 1)).toBe(1);
    expect(rowsAtOnce(10, 1_000_000)).toBe(10);
    expect(rowsAtOnce(1_000, null)).toBe(1_000);
  });

  test('that is no limit is refused with its name', () => {
    expect(() => checkThrottle({ rowsPerSecond: 0 })).toThrow(
      '/throttle/rows_per_second: must be a number of at least 1',
    );
    expect(() => checkThrottle({ maxReplicaLagMs: Number.NaN })).toThrow('/throttle/max_replica_lag_ms');
    expect(() => checkThrottle({ rowsPerSecond: null, maxReplicaLagMs: 0 })).not.toThrow();
  });
});

test('WAL segments are counted over the borders of their files', () => {
  const mib16 = 16 * 2 ** 20;
  expect(segmentsBetween('0000000100000000000000FE', '000000010000000100000003', mib16)).toBe(5);
  expect(segmentsBetween('000000010000000100000003', '000000010000000100000003', mib16)).toBe(0);
  expect(segmentsBetween('000000010000000000000002.00000028.backup', '000000010000000000000004', mib16)).toBe(2);
  expect(segmentsBetween('00000002.history', '000000010000000000000004', mib16)).toBeNull();
  expect(segmentsBetween(null, '000000010000000000000004', mib16)).toBeNull();
});
