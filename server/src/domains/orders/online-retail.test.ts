import { describe, expect, test } from 'vitest';
import type { CsvRow } from '../../core/csv-reader.ts';
import type { Currency } from '../../core/money.ts';
import { onlineRetailPreset } from './online-retail.ts';

const header = [
  'InvoiceNo',
  'StockCode',
  'Description',
  'Quantity',
  'InvoiceDate',
  'UnitPrice',
  'CustomerID',
  'Country',
];
const preset = onlineRetailPreset.bind(header, { defaultCurrency: 'EUR' as Currency });
const good = ['536365', '85123A', 'WHITE HOLDER ', '6', '2010-12-01 08:26:00', '2.55', '17850.0', 'United Kingdom'];
const row = (line: number, changes: Record<string, string> = {}): CsvRow => ({
  line,
  cells: header.map((name, i) => changes[name] ?? good[i] ?? ''),
  fault: null,
});
const placedAt = Date.parse('2010-12-01T08:26:00Z');

test('an invoice is pending, then complete, in pounds', () => {
  const { order } = preset.orderOf([row(2)]);
  expect(order).toEqual({
    customerId: '17850',
    orderNumber: '536365',
    placedAt,
    currency: 'GBP',
    items: [{ sku: '85123A', name: 'WHITE HOLDER', quantity: 6, unit_price: 255 }],
    total: 1530,
    statuses: [{ status: 'complete', occurredAt: placedAt, reason: null, eventKey: null }],
  });
});

test('a number that begins with C is pending, then cancelled, with positive quantities', () => {
  const { order } = preset.orderOf([row(2, { InvoiceNo: 'C536379', Quantity: '-1' })]);
  expect(order?.items).toMatchObject([{ quantity: 1 }]);
  expect(order?.statuses).toMatchObject([{ status: 'cancelled', reason: 'customer_return', occurredAt: placedAt }]);
});

test('the earliest of two times counts, and the same line twice is two items', () => {
  const { order } = preset.orderOf([row(2, { InvoiceDate: '2010-12-01 08:27:00' }), row(3), row(4)]);
  expect(order).toMatchObject({ placedAt, items: [{}, {}, {}] });
});

test('lines without a customer are those of the invoice; an invoice without any is of a guest', () => {
  expect(preset.orderOf([row(2, { CustomerID: '' })]).order?.customerId).toBe('guest');
  expect(preset.orderOf([row(2, { CustomerID: '' }), row(3)]).order?.customerId).toBe('17850');
});

describe('a rejected line leaves the order its other lines', () => {
  test.each([
    ['price_negative', { UnitPrice: '-11062.06' }],
    ['price_too_fine', { UnitPrice: '0.001' }],
    ['quantity_zero', { Quantity: '0' }],
    ['quantity_negative', { Quantity: '-10' }],
    ['date_invalid', { InvoiceDate: '12/1/2010 8:26' }],
    ['date_invalid', { InvoiceDate: '2010-13-01 08:26:00' }],
    ['sku_invalid', { StockCode: '' }],
    ['customer_differs', { CustomerID: '1.0' }],
  ])('%s', (code, changes) => {
    const { order, rejected } = preset.orderOf([row(2), row(3, changes)]);
    expect(rejected).toMatchObject([{ row: { line: 3 }, code }]);
    expect(order?.items).toHaveLength(1);
  });
});

test('an invoice with no line left is no order', () => {
  expect(preset.orderOf([row(2, { Quantity: '-5' })])).toMatchObject({
    order: null,
    rejected: [{ code: 'quantity_negative' }],
  });
});
