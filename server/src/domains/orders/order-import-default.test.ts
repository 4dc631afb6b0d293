import { describe, expect, test } from 'vitest';
import { ImportFileError } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import type { Currency } from '../../core/money.ts';
import { defaultPreset } from './order-import-default.ts';

const eur = 'EUR' as Currency;
const header = [
  'price',
  'order_id',
  'sku',
  'customer_id',
  'quantity',
  'timestamp',
  'currency',
  'status',
  'status_at',
  'reason',
];
const preset = defaultPreset.bind(header, { defaultCurrency: eur });

type Cells = Partial<Record<(typeof header)[number], string>>;
const good: Cells = {
  price: '29.99',
  order_id: 'ORD1',
  sku: 'SHOE',
  customer_id: 'C1',
  quantity: '1',
  timestamp: '2025-06-30T12:30:00Z',
};
const row = (line: number, cells: Cells = {}, fault: CsvRow['fault'] = null): CsvRow => ({
  line,
  cells: header.map((name) => ({ ...good, ...cells })[name] ?? ''),
  fault,
});
const codesOf = (...rows: CsvRow[]) => preset.orderOf(rows).rejected.map((one) => [one.row.line, one.code]);

test('rows in major units make an order, with columns in any order and by either name', () => {
  const { order, rejected } = preset.orderOf([row(2), row(3, { sku: 'BAG', quantity: '2', price: '20' })]);
  expect(rejected).toEqual([]);
  expect(order).toEqual({
    customerId: 'C1',
    orderNumber: 'ORD1',
    placedAt: Date.parse('2025-06-30T12:30:00Z'),
    currency: null,
    items: [
      { sku: 'SHOE', quantity: 1, unit_price: 2999 },
      { sku: 'BAG', quantity: 2, unit_price: 2000 },
    ],
    total: 6999,
    statuses: null,
  });
});

test('the currency of the row decides what its smallest coin is', () => {
  expect(preset.orderOf([row(2, { currency: 'JPY', price: '500' })]).order).toMatchObject({
    currency: 'JPY',
    total: 500,
  });
  expect(codesOf(row(2, { currency: 'JPY', price: '5.5' }))).toEqual([[2, 'price_too_fine']]);
});

describe('a status', () => {
  test('counts from status_at, or from placed_at where that is empty', () => {
    const cells = { status: 'complete', status_at: '2025-07-01T00:00:00Z' };
    expect(preset.orderOf([row(2, cells)]).order?.statuses).toMatchObject([
      { status: 'complete', occurredAt: Date.parse('2025-07-01T00:00:00Z') },
    ]);
    expect(preset.orderOf([row(2, { status: 'failed' })]).order?.statuses).toMatchObject([
      { status: 'cancelled', reason: 'payment_failed', occurredAt: Date.parse('2025-06-30T12:30:00Z') },
    ]);
  });

  test('need not stand on every row of the order', () => {
    expect(preset.orderOf([row(2), row(3, { status: 'cancelled', reason: 'lost' })]).order?.statuses).toMatchObject([
      { status: 'cancelled', reason: 'lost' },
    ]);
  });
});

test.each<[string, Cells]>([
  ['price_negative', { price: '-1' }],
  ['price_too_fine', { price: '1.005' }],
  ['price_invalid', { price: 'x' }],
  ['price_invalid', { price: '' }],
  ['price_too_large', { price: '99999999999999999' }],
  ['quantity_zero', { quantity: '0' }],
  ['quantity_negative', { quantity: '-2' }],
  ['quantity_invalid', { quantity: '1.5' }],
  ['quantity_invalid', { quantity: '' }],
  ['quantity_invalid', { quantity: '9007199254740993' }],
  ['sku_invalid', { sku: '' }],
  ['sku_invalid', { sku: 'a\u0000b' }],
])('a rejected row says %s and takes its order with it', (code, cells) => {
  const codes = codesOf(row(2), row(3, cells));
  expect(preset.orderOf([row(2), row(3, cells)]).order).toBeNull();
  expect(codes.map(([line]) => line)).toEqual([2, 3]);
  expect(codes[1]?.[1]).toBe(code);
});

test.each<[string, Cells]>([
  ['placed_at_invalid', { timestamp: '30.06.2025' }],
  ['placed_at_invalid', { timestamp: '' }],
  ['currency_invalid', { currency: 'XXX' }],
  ['statuses_invalid', { status: 'shipped' }],
])('an order whose own fields are wrong is rejected with %s on each of its rows', (code, cells) => {
  expect(codesOf(row(2, cells), row(3, cells))).toEqual([
    [2, code],
    [3, code],
  ]);
});

test('a row that is broken takes its order with it as far as the order can be told', () => {
  const broken = { code: 'malformed_row', detail: 'has a stray quote' } as const;
  expect(codesOf(row(2), row(3, {}, broken))).toEqual([
    [2, 'order_rejected'],
    [3, 'malformed_row'],
  ]);
  expect(preset.groupOf(row(3, { customer_id: '' }, broken))).toEqual(broken);
});

test('rows that contradict each other about their order are rejected', () => {
  const other = { timestamp: '2025-06-30T12:31:00Z' };
  expect(codesOf(row(2), row(3, other))).toEqual([
    [2, 'conflicting_lines'],
    [3, 'conflicting_lines'],
  ]);
});

test('the same order number of another customer is another order', () => {
  expect(preset.groupOf(row(2))).not.toBe(preset.groupOf(row(3, { customer_id: 'C2' })));
  expect(preset.groupOf(row(2, { order_id: ' ' }))).toMatchObject({ code: 'order_number_missing' });
});

test('a file without a needed column, or with one twice, is refused as a whole; unknown columns are named', () => {
  expect(() =>
    defaultPreset.bind(['order_id', 'customer_id', 'sku', 'quantity', 'price'], { defaultCurrency: eur }),
  ).toThrow(/placed_at or timestamp/);
  expect(() => defaultPreset.bind([...header, 'SKU'], { defaultCurrency: eur })).toThrow(ImportFileError);
  expect(defaultPreset.bind([...header, 'colour', 'error', 'line'], { defaultCurrency: eur }).unused).toEqual([
    'colour',
  ]);
});

test('an export with our own order_id beside the order_number can be imported', () => {
  const bound = defaultPreset.bind([...header, 'order_number'], { defaultCurrency: eur });
  const { order } = bound.orderOf([{ ...row(2), cells: [...row(2).cells, 'N1'] }]);
  expect(order?.orderNumber).toBe('N1');
});

describe('with other names for columns', () => {
  const names = ['Beleg', 'customer_id', 'Datum', 'name', 'quantity', 'price', 'status'];
  const map = new Map([
    ['order_number', 'beleg'],
    ['placed_at', ' Datum '],
    ['sku', 'name'],
  ]);
  const bind = (columns: readonly string[], more: readonly (readonly [string, string])[] = []) =>
    defaultPreset.bind(columns, { defaultCurrency: eur, map: new Map([...map, ...more]) });

  test('a field is read from the column it is given; that column is no other field', () => {
    const bound = bind(names);
    expect(bound.mapping).toEqual({
      order_number: 'Beleg',
      customer_id: 'customer_id',
      placed_at: 'Datum',
      currency: null,
      sku: 'name',
      name: null,
      quantity: 'quantity',
      unit_price: 'price',
      status: 'status',
      status_at: null,
      reason: null,
    });
    const cells = ['N1', 'C1', '2025-06-30T12:30:00Z', 'SHOE', '1', '29.99', ''];
    expect(bound.orderOf([{ line: 2, cells, fault: null }]).order).toMatchObject({
      orderNumber: 'N1',
      items: [{ sku: 'SHOE', quantity: 1, unit_price: 2999 }],
    });
    expect(bind([...names, 'order_number']).unused).toEqual(['order_number']);
  });

  test('a column that is not there, or there twice, is named; so is a field that lost its column', () => {
    expect(() => bind(names, [['reason', 'Grund']])).toThrow(
      /no column Grund, which --map gives to reason.*first line/,
    );
    expect(() => bind([...names, 'BELEG'])).toThrow(/the column Beleg twice/);
    expect(() => bind(names, [['reason', 'quantity']])).toThrow(/no column quantity$|no column quantity[;.]/);
  });
});
