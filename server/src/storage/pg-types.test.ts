import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTimestamptz, pgTypes } from './pg-types.ts';

const utc = (text: string) => new Date(text).getTime();

describe('parseTimestamptz', () => {
  test.each([
    ['2025-06-30 12:30:00+00', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30 12:30:00.1+00', '2025-06-30T12:30:00.100Z'],
    ['2025-06-30 12:30:00.12+00', '2025-06-30T12:30:00.120Z'],
    ['2025-06-30 12:30:00.123+00', '2025-06-30T12:30:00.123Z'],
    ['1900-02-28 23:59:59.999+00', '1900-02-28T23:59:59.999Z'],
    ['0001-01-01 00:00:00+00', '0001-01-01T00:00:00.000Z'],
    ['0099-12-31 00:00:00+00', '0099-12-31T00:00:00.000Z'],
    ['9999-12-31 23:59:59.999+00', '9999-12-31T23:59:59.999Z'],
    ['2025-06-30 14:30:00+02', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30 18:15:00+05:45', '2025-06-30T12:30:00.000Z'],
    ['2025-06-30 12:30:00.123456+00', '2025-06-30T12:30:00.123Z'],
  ])('reads %s', (text, instant) => {
    expect(parseTimestamptz(text)).toBe(utc(instant));
  });

  test.each(['infinity', '-infinity', '0044-03-15 00:00:00+00 BC', '10000-01-01 00:00:00+00', ''])(
    'refuses %j',
    (text) => {
      expect(() => parseTimestamptz(text)).toThrow(RangeError);
    },
  );

  test('reads every millisecond of the years 1..9999', () => {
    fc.assert(
      fc.property(fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }), (ms) => {
        const text = new Date(ms)
          .toISOString()
          .replace('T', ' ')
          .replace(/\.?0*Z$/, '+00');
        // toISOString always has three digits; the server leaves trailing zeros out, but never those of the seconds.
        const asServer =
          text.length < '2025-06-30 12:30:00+00'.length
            ? new Date(ms).toISOString().replace('T', ' ').replace('.000Z', '+00')
            : text;
        expect(parseTimestamptz(asServer)).toBe(ms);
      }),
    );
  });
});

test('int8 comes as bigint, beyond 2^53 too; the rest as the driver does it', () => {
  expect(pgTypes.getTypeParser(20, 'text')('9223372036854775807')).toBe(9_223_372_036_854_775_807n);
  expect(pgTypes.getTypeParser(23, 'text')('7')).toBe(7);
  expect(pgTypes.getTypeParser(25, 'text')('7')).toBe('7');
});
