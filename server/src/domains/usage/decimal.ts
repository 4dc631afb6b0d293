import type { Decimal } from './usage.ts';

// 12 digits before the point: numeric sums of any number of such prices are exact.
const priceForm = /^\d{1,12}(?:\.\d{1,6})?$/;

/** A price of 0 or more with up to 6 places, exactly as written; null for anything else: signs, exponents, NaN, 7 places. */
export const parsePrice = (text: string): Decimal | null => (priceForm.test(text) ? (text as Decimal) : null);

const amountForm = /^(-?)(\d+)(?:\.(\d*?)0*)?$/;

/**
 * An amount of money as JSON carries it, out of the text of a numeric: at least two places, no further zeros at the end.
 * `0.3` is `0.30`, `12.340000` is `12.34`, `0.000001` stays. @throws RangeError for what is no decimal
 */
export function formatAmount(numeric: string): Decimal {
  const match = amountForm.exec(numeric);
  if (match === null) throw new RangeError(`Not a decimal: ${numeric}`);
  const [, sign = '', whole = '0', places = ''] = match;
  return `${sign}${whole}.${places.padEnd(2, '0')}` as Decimal;
}

const limitForm = /^\d{1,30}(?:\.\d{1,6})?$/;

/** A limit of sums: 0 or more, with up to 6 places; sums have more digits than prices. Null for anything else. */
export const parseLimit = (text: string): Decimal | null => (limitForm.test(text) ? (text as Decimal) : null);

/** Millionths of an amount of up to 6 places, signed: `-0.5` is -500000n. */
export function microsOf(decimal: string): bigint {
  const match = amountForm.exec(decimal);
  if (match === null) throw new RangeError(`Not a decimal: ${decimal}`);
  const [, sign = '', whole = '0', places = ''] = match;
  return BigInt(`${sign}${whole}${places.padEnd(6, '0')}`);
}

/** The reverse, with all 6 places: -500000n is `-0.500000`. */
export function formatMicros(micros: bigint): string {
  const digits = String(micros < 0n ? -micros : micros).padStart(7, '0');
  return `${micros < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`;
}
