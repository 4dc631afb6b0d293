import { expect, test } from 'vitest';
import { type Instant, monthName } from '../core/time.ts';
import { readyMonths } from './partitions.ts';

test('24 months back, the current one and 3 ahead stand ready, over the turn of a year', () => {
  const names = readyMonths(Date.parse('2025-11-30T23:59:59.999Z') as Instant).map(monthName);
  expect(names).toHaveLength(28);
  expect(names[0]).toBe('2023_11');
  expect(names.slice(-4)).toEqual(['2025_11', '2025_12', '2026_01', '2026_02']);
  expect(
    readyMonths(Date.parse('2025-12-01T00:00:00Z') as Instant)
      .map(monthName)
      .slice(-1),
  ).toEqual(['2026_03']);
});
