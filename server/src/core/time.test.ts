import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dayMs,
  formatInstant,
  type Instant,
  type Month,
  monthName,
  monthOf,
  parseInstant,
  parseMonthName,
  parsePlainDate,
  plainDateOf,
  startOfMonth,
} from './time.ts';

const utc = (text: string): number => new Date(text).getTime();
const firstInstant = -62_135_596_800_000;
const lastInstant = 253_402_300_799_999;

describe('parseInstant', () => {
  test.each([
    ['2025-06-30T12:30:00Z', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30t12:30:00z', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30 12:30:00Z', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30T12:30:00+02:00', '2025-06-30T10:30:00.000Z'],
    ['2025-06-30T00:30:00+05:45', '2025-06-29T18:45:00.000Z'],
    ['2025-12-31T23:30:00-01:00', '2026-01-01T00:30:00.000Z'],
    ['2025-06-30T12:30:00-00:00', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30T12:30:00.5Z', '2025-06-30T12:30:00.500Z'],
    ['2025-06-30T12:30:00.123456789Z', '2025-06-30T12:30:00.123Z'],
    // Rounding would move this one into the next day.
    ['2025-06-30T23:59:59.9999Z', '2025-06-30T23:59:59.999Z'],
    ['1969-12-31T23:59:59.9999Z', '1969-12-31T23:59:59.999Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['2016-12-31T23:59:60Z', '2016-12-31T23:59:59.999Z'],
    ['2016-12-31T23:59:60.7Z', '2016-12-31T23:59:59.999Z'],
    ['2017-01-01T00:59:60+01:00', '2016-12-31T23:59:59.999Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('reads %s as %s', (text, instant) => {
    expect(parseInstant(text)).toBe(utc(instant));
  });

  test.each([
    '',
    'now',
    '2025-06-30',
    '2025-06-30T12:30:00',
    '2025-06-30T12:30Z',
    '2025-06-30T12:30:00.Z',
    '2025-06-30T12:30:00+0200',
    '2025-06-30T12:30:00+24:00',
    '2025-06-30T12:30:00+02:60',
    '2025-13-01T00:00:00Z',
    '2025-00-01T00:00:00Z',
    '2025-06-31T00:00:00Z',
    '2025-06-00T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2025-06-30T24:00:00Z',
    '2025-06-30T12:60:00Z',
    '2025-06-30T12:30:61Z',
    '+12025-06-30T12:30:00Z',
    '25-06-30T12:30:00Z',
    '2025-06-30T12:30:00Z\n',
    ' 2025-06-30T12:30:00Z',
    '٢٠٢٥-06-30T12:30:00Z',
    "2025-06-30T12:30:00Z'; drop table orders",
    // PostgreSQL has no year 0 and writes the year 10000 in another way: neither may come about by a zone.
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
  ])('refuses %j', (text) => {
    expect(parseInstant(text)).toBeNull();
  });

  test('reads what formatInstant writes, over all years', () => {
    fc.assert(
      fc.property(fc.integer({ min: firstInstant, max: lastInstant }), (ms) => {
        const text = formatInstant(ms as Instant);
        expect(text).toHaveLength(24);
        expect(parseInstant(text)).toBe(ms);
      }),
    );
  });

  test('truncates any fraction and never moves an instant forward', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.stringMatching(/^\d{1,9}$/), (ms, finer) => {
        const text = formatInstant(ms as Instant).replace('Z', `${finer}Z`);
        expect(parseInstant(text)).toBe(ms);
      }),
    );
  });
});

describe('a month', () => {
  test('contains exactly the instants from its start to the start of the next', () => {
    fc.assert(
      fc.property(fc.integer({ min: firstInstant, max: lastInstant }), (ms) => {
        const at = ms as Instant;
        const month = monthOf(at);
        expect(startOfMonth(month)).toBeLessThanOrEqual(at);
        expect(startOfMonth((month + 1) as Month)).toBeGreaterThan(at);
        expect(startOfMonth((month + 1) as Month) - startOfMonth(month)).toBeLessThanOrEqual(31 * dayMs);
        expect(parseMonthName(monthName(month))).toBe(month);
      }),
    );
  });

  test('is named by year and month', () => {
    expect(monthName(monthOf(utc('2025-06-30T23:59:59.999Z') as Instant))).toBe('2025_06');
    expect(monthName(monthOf(utc('2025-12-01T00:00:00Z') as Instant))).toBe('2025_12');
  });

  test.each(['2025_13', '2025_00', '2025-06', '25_06', '2025_6', '2025_06_x', ''])('has no name like %j', (text) => {
    expect(parseMonthName(text)).toBeNull();
  });
});

describe('a day', () => {
  test('is one that exists, of the years 1 to 9999', () => {
    for (const day of ['2026-11-21', '2024-02-29', '0001-01-01', '9999-12-31']) expect(parsePlainDate(day)).toBe(day);
    for (const text of [
      '2025-02-29',
      '2026-13-01',
      '2026-00-01',
      '2026-04-31',
      '0000-01-01',
      '2026-1-1',
      '21.11.2026',
      '',
    ])
      expect(parsePlainDate(text)).toBeNull();
  });

  test('is that of an instant in UTC', () => {
    fc.assert(
      fc.property(fc.integer({ min: firstInstant, max: lastInstant }), (ms) => {
        const day = plainDateOf(ms as Instant);
        expect(parsePlainDate(day)).toBe(day);
        expect(Math.floor(ms / dayMs) * dayMs).toBe(Date.parse(`${day}T00:00:00Z`));
      }),
    );
  });
});
