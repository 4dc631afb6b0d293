import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Instant, parseInstant } from '../../core/time.ts';
import { faultOfRange, histogramIntervals, intervalMs, intervalsIn, maxHistogramIntervals } from './order-histogram.ts';

const at = (text: string) => parseInstant(text) ?? (Number.NaN as Instant);

test('a range touches the intervals it begins and ends in, an end that is a boundary not', () => {
  expect(intervalsIn(at('2025-01-01T00:00:00Z'), at('2025-01-02T00:00:00Z'), 'day')).toBe(1);
  expect(intervalsIn(at('2025-01-01T23:59:59Z'), at('2025-01-02T00:00:00.001Z'), 'day')).toBe(2);
  expect(intervalsIn(at('1969-12-31T23:30:00Z'), at('1970-01-01T00:30:00Z'), 'hour')).toBe(2);
});

test('as many intervals are touched as instants of the range begin or lie in, counted one by one', () => {
  const from = fc.integer({ min: -1e12, max: 4e12 });
  const hours = fc.integer({ min: 1, max: 60 * 3_600_000 });
  fc.assert(
    fc.property(from, hours, fc.constantFrom(...histogramIntervals), (start, length, interval) => {
      const ms = intervalMs[interval];
      const starts = new Set<number>();
      for (let t = start; t < start + length; t += ms / 2) starts.add(Math.floor(t / ms));
      starts.add(Math.floor((start + length - 1) / ms));
      expect(intervalsIn(start as Instant, (start + length) as Instant, interval)).toBe(starts.size);
    }),
  );
});

test('a range that is empty, turned round or too long is refused with what to do', () => {
  const from = at('2025-01-01T00:00:00Z');
  const after = (ms: number) => (from + ms) as Instant;
  expect(faultOfRange(from, from, 'day')).toMatch(/later than placed_from/);
  expect(faultOfRange(after(1), from, 'day')).toMatch(/later/);
  expect(faultOfRange(from, after(maxHistogramIntervals * intervalMs.hour), 'hour')).toBeNull();
  expect(faultOfRange(from, after(maxHistogramIntervals * intervalMs.hour + 1), 'hour')).toMatch(
    /10,001 hours.*10,000.*ask for days/,
  );
  expect(faultOfRange(from, after(maxHistogramIntervals * intervalMs.day + 1), 'day')).toMatch(/shorter range/);
});
