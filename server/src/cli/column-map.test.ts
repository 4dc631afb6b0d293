import { expect, test } from 'vitest';
import { defaultPreset } from '../domains/orders/order-import-default.ts';
import { readColumnMap } from './column-map.ts';
import { UsageError } from './stopped.ts';

const { fields } = defaultPreset;
const read = (...texts: string[]) => Object.fromEntries(readColumnMap(texts, fields));

test('pairs of field and column come in one flag or in several', () => {
  expect(read('sku=Article,quantity=Qty', 'unit_price = Price (EUR)')).toEqual({
    sku: 'Article',
    quantity: 'Qty',
    unit_price: 'Price (EUR)',
  });
  expect(read()).toEqual({});
});

test('the name of a column may hold commas, blanks and equal signs', () => {
  expect(read('sku=Article, No.,quantity=a=b, c')).toEqual({ sku: 'Article, No.', quantity: 'a=b, c' });
});

test.each([
  ['sku', /"sku".*field=column/],
  ['sku=', /"sku=".*field=column/],
  ['=Article', /"=Article".*field=column/],
  ['', /field=column/],
  ['article=sku', /no field "article".*order_number.*reason/],
  ['timestamp=Date', /no field "timestamp".*placed_at/],
  ['sku=A,sku=B', /gives sku two columns: A and B/],
  ['sku=A,name=a', /the column a to two fields: sku and name/],
])('%s is refused in a sentence', (text, message) => {
  expect(() => read(text)).toThrow(UsageError);
  expect(() => read(text)).toThrow(message);
});
