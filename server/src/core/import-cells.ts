import type { RowFault } from './import-line.ts';
import { type Currency, parseMajorUnits } from './money.ts';

/** A price in major units as minor ones, or why it is none. */
export function readPrice(text: string, currency: Currency): number | RowFault {
  const price = parseMajorUnits(text, currency);
  if (typeof price === 'number') return price;
  switch (price) {
    case 'negative':
      return { code: 'price_negative', detail: `the price ${text} is negative` };
    case 'finer_than_minor_unit':
      return { code: 'price_too_fine', detail: `the price ${text} is finer than the smallest coin of ${currency}` };
    case 'too_large':
      return { code: 'price_too_large', detail: `the price ${text} is too large` };
    case 'not_a_number':
      return { code: 'price_invalid', detail: `the price "${text}" is not a number such as 25 or 25.00` };
  }
}

/** A whole quantity other than 0, of either sign, or why it is none. */
export function readQuantity(text: string): number | RowFault {
  if (!/^[+-]?\d{1,16}(\.0*)?$/.test(text)) {
    return { code: 'quantity_invalid', detail: `the quantity "${text}" is not a whole number` };
  }
  const quantity = Number(text);
  return quantity === 0 ? { code: 'quantity_zero', detail: 'the quantity is 0' } : quantity;
}
