import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Currency,
  formatMajorUnits,
  maxMinorUnits,
  minorDigits,
  parseCurrency,
  parseMajorUnits,
} from './money.ts';

const currencies = fc.constantFrom('EUR', 'JPY', 'KWD') as fc.Arbitrary<Currency>;
const eur = 'EUR' as Currency;

describe('parseMajorUnits', () => {
  test.each([
    ['25', 'EUR', 2500],
    ['25.00', 'EUR', 2500],
    ['0.5', 'EUR', 50],
    ['19.99', 'EUR', 1999],
    ['2.5500', 'EUR', 255],
    ['1.', 'EUR', 100],
    [' 7.10 ', 'EUR', 710],
    ['+3', 'EUR', 300],
    ['-0', 'EUR', 0],
    ['-0.00', 'EUR', 0],
    ['007', 'EUR', 700],
    ['1.10', 'EUR', 110],
    ['1.15', 'EUR', 115],
    // As floating point these come out one minor unit short.
    ['8.20', 'EUR', 820],
    ['4.35', 'EUR', 435],
    ['1.005', 'KWD', 1005],
    ['90071992547409.91', 'EUR', maxMinorUnits],
    ['500', 'JPY', 500],
    ['500.0', 'JPY', 500],
    ['1.234', 'KWD', 1234],
  ])('reads %j %s as %i minor units', (text, currency, minor) => {
    expect(parseMajorUnits(text, currency as Currency)).toBe(minor);
  });

  test.each([
    ['2.555', 'EUR', 'finer_than_minor_unit'],
    ['0.001', 'EUR', 'finer_than_minor_unit'],
    ['500.5', 'JPY', 'finer_than_minor_unit'],
    ['1.2345', 'KWD', 'finer_than_minor_unit'],
    ['-1', 'EUR', 'negative'],
    ['-0.01', 'EUR', 'negative'],
    ['90071992547409.92', 'EUR', 'too_large'],
    ['99999999999999999999', 'EUR', 'too_large'],
    ['', 'EUR', 'not_a_number'],
    ['.5', 'EUR', 'not_a_number'],
    ['1,50', 'EUR', 'not_a_number'],
    ['1e3', 'EUR', 'not_a_number'],
    ['0x10', 'EUR', 'not_a_number'],
    ['NaN', 'EUR', 'not_a_number'],
    ['1 000', 'EUR', 'not_a_number'],
    ['--1', 'EUR', 'not_a_number'],
    ['1.2.3', 'EUR', 'not_a_number'],
    ['٣', 'EUR', 'not_a_number'],
  ])('refuses %j %s: %s', (text, currency, fault) => {
    expect(parseMajorUnits(text, currency as Currency)).toBe(fault);
  });

  test('reads back what formatMajorUnits writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), currencies, (minor, currency) => {
        expect(parseMajorUnits(formatMajorUnits(BigInt(minor), currency), currency)).toBe(minor);
      }),
    );
  });

  test('agrees with whole arithmetic on any number of digits', () => {
    fc.assert(
      fc.property(fc.nat(9_999_999), fc.nat(99), fc.nat(3), (whole, cents, zeros) => {
        const text = `${whole}.${String(cents).padStart(2, '0')}${'0'.repeat(zeros)}`;
        expect(parseMajorUnits(text, eur)).toBe(whole * 100 + cents);
      }),
    );
  });
});

describe('formatMajorUnits', () => {
  test.each([
    [1999n, 'EUR', '19.99'],
    [5n, 'EUR', '0.05'],
    [0n, 'EUR', '0.00'],
    [-5n, 'EUR', '-0.05'],
    [500n, 'JPY', '500'],
    [1n, 'KWD', '0.001'],
    [9_007_199_254_740_993n, 'EUR', '90071992547409.93'],
  ])('writes %d %s as %s', (minor, currency, text) => {
    expect(formatMajorUnits(minor, currency as Currency)).toBe(text);
  });
});

describe('parseCurrency', () => {
  test.each(['EUR', 'GBP', 'JPY', 'KWD'])('knows %s', (code) => {
    expect(parseCurrency(code)).toBe(code);
  });
  test.each(['', 'eur', 'EURO', 'XXX', 'XTS', 'XAU', 'constructor', '__proto__', 'toString'])(
    'does not know %j',
    (code) => {
      expect(parseCurrency(code)).toBeNull();
    },
  );
  test('gives each currency its digits', () => {
    expect(['EUR', 'JPY', 'KWD'].map((code) => minorDigits(code as Currency))).toEqual([2, 0, 3]);
  });
});
