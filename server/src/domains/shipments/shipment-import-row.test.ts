import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Currency } from '../../core/money.ts';
import { type Instant, parseInstant } from '../../core/time.ts';
import { readRowDocument } from './shipment-import-document.ts';
import { mergeRows, type StoredForRows } from './shipment-import-merge.ts';
import { readShipmentRow, type ShipmentField, type ShipmentRow, shipmentFields } from './shipment-import-row.ts';
import { maxArticles } from './shipment-submission.ts';

const now = parseInstant('2026-11-21T12:00:00Z') as Instant;
const eur = 'EUR' as Currency;
type Cells = Partial<Record<ShipmentField, string>>;
const laptop: Cells = {
  tracking_number: 'TN12345678',
  carrier: 'DHL',
  article_name: 'Laptop',
  article_quantity: '1',
  article_price: '800',
  sku: 'LP123',
};
const read = (cells: Cells = {}) => readShipmentRow((field) => ({ ...laptop, ...cells })[field] ?? '', now);
const good = (cells: Cells = {}): ShipmentRow => {
  const row = read(cells);
  if ('code' in row) throw new Error(row.detail);
  return row;
};
const codeOf = (cells: Cells) => {
  const row = read(cells);
  return 'code' in row ? row.code : null;
};
const merged = (rows: readonly ShipmentRow[], defaultCurrency = eur, stored: StoredForRows | null = null) =>
  mergeRows(rows, { defaultCurrency, stored });
const inDollars: StoredForRows = { currency: 'USD' as Currency, articleKeys: [] };

test.each<[string, Cells]>([
  ['tracking_number_missing', { tracking_number: '' }],
  ['carrier_missing', { carrier: '' }],
  ['tracking_number_spoiled', { tracking_number: '1.2E+21' }],
  ['tracking_number_spoiled', { tracking_number: '1,23457e+12' }],
  ['tracking_number_too_long', { tracking_number: 'T'.repeat(65) }],
  ['carrier_invalid', { carrier: 'D\u0000L' }],
  ['tracking_number_invalid', { tracking_number: ' - - ' }],
  ['sender_address_too_long', { sender_address: 'x'.repeat(501) }],
  ['receiver_address_invalid', { receiver_address: 'a\ud800b' }],
  ['article_name_missing', { article_name: '' }],
  ['article_name_too_long', { article_name: 'x'.repeat(301) }],
  ['quantity_missing', { article_quantity: '' }],
  ['quantity_zero', { article_quantity: '0' }],
  ['quantity_negative', { article_quantity: '-1' }],
  ['quantity_invalid', { article_quantity: '1.5' }],
  ['quantity_invalid', { article_quantity: 'two' }],
  ['quantity_too_large', { article_quantity: '3000000000' }],
  ['status_missing', { status_at: '2026-11-21T12:00:00Z' }],
  ['status_at_invalid', { status: 'delivered', status_at: '2026-11-21 12:00' }],
  ['status_at_in_future', { status: 'delivered', status_at: '2026-11-21T12:06:00Z' }],
  ['order_id_invalid', { order_id: '17' }],
  ['order_id_invalid', { order_id: '0b5e1f0c-9f0e-4c0e-8a52-0123456789ab' }],
  ['expected_on_invalid', { expected_on: '2026-02-30' }],
  ['currency_invalid', { currency: 'XYZ' }],
])('a row is rejected with %s for %j', (code, cells) => {
  expect(codeOf(cells)).toBe(code);
});

test('a number that a spreadsheet has spoiled is told as such, with what to do', () => {
  expect(read({ tracking_number: '1.2E+21' })).toMatchObject({ detail: expect.stringMatching(/spreadsheet.*Text/) });
  // A carrier may well have these.
  for (const number of ['12E45', '1E5', '00E123'])
    expect(good({ tracking_number: number }).trackingNumber).toBe(number);
});

test('a row may be about the shipment alone', () => {
  const { article, status } = good({ article_name: '', article_quantity: '', article_price: '', sku: '', status: 'x' });
  expect({ article, status }).toEqual({ article: null, status: { code: 'x', at: null } });
});

test.each<[string, string, number | string]>([
  ['EUR', '800', 80_000],
  ['EUR', '0.07', 7],
  ['EUR', '0', 0],
  ['EUR', '12.340', 1_234],
  ['JPY', '800', 800],
  ['JPY', '800.0', 800],
  ['KWD', '1.234', 1_234],
  ['EUR', '0.001', 'price_too_fine'],
  ['JPY', '1.5', 'price_too_fine'],
  ['KWD', '1.2345', 'price_too_fine'],
  ['EUR', '-1', 'price_negative'],
  ['EUR', '1,50', 'price_invalid'],
  ['EUR', '1e3', 'price_invalid'],
  ['EUR', '99999999999999999', 'price_too_large'],
])('a price of %s %s is %s', (currency, price, expected) => {
  const { shipment, rejected } = merged([good({ currency, article_price: price })]);
  expect(shipment?.articles[0]?.unitPrice ?? rejected[0]?.fault.code).toBe(expected);
});

describe('rows of one shipment', () => {
  test('have the currency that one of them names; another one is rejected alone', () => {
    const rows = [good(), good({ sku: 'B', currency: 'JPY' }), good({ sku: 'C', currency: 'USD' })];
    const { shipment, rejected } = merged(rows);
    expect(shipment).toMatchObject({ currency: 'JPY', articles: [{ unitPrice: 800 }, { sku: 'B', unitPrice: 800 }] });
    expect(rejected).toEqual([
      { row: rows[2], fault: expect.objectContaining({ code: 'currency_conflict', detail: expect.any(String) }) },
    ]);
  });

  test('cannot change the currency of what is stored, named or not', () => {
    const rows = [good(), good({ currency: 'USD' }), good({ article_price: '' })];
    const { shipment, rejected } = merged(rows, eur, inDollars);
    // The one that names none has that of the others.
    expect(rejected).toEqual([]);
    expect(shipment).toMatchObject({ currency: 'USD' });
    expect(merged([good(), good({ article_price: '', sku: 'X' })], eur, inDollars)).toMatchObject({
      shipment: { articles: [{ sku: 'X', unitPrice: null }] },
      rejected: [{ fault: { code: 'currency_conflict' } }],
    });
  });

  test('make an article each; of two about the same article the last one counts, of an address too', () => {
    const { shipment } = merged([
      good({ receiver_address: 'A', carrier: 'dhl' }),
      good({ receiver_address: 'B', article_quantity: '3' }),
      good({ sku: '', article_quantity: '2' }),
      good({ sku: '', article_quantity: '5' }),
    ]);
    expect(shipment).toMatchObject({ carrier: 'dhl', receiver: 'B', sender: null });
    expect(shipment?.articles.map(({ sku, quantity }) => [sku, quantity])).toEqual([
      ['LP123', 3],
      [null, 5],
    ]);
  });

  test('have no more articles than a shipment may have; those there are can still be changed', () => {
    const skus = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => good({ sku: `S${from + i}`, receiver_address: `R${from + i}` }));
    const rows = [...skus(0, maxArticles), good({ sku: 'MORE' }), good({ sku: 'S0', article_quantity: '7' })];
    const { shipment, rejected } = merged(rows);
    expect(shipment?.articles).toHaveLength(maxArticles);
    expect(shipment?.articles[0]).toMatchObject({ sku: 'S0', quantity: 7 });
    expect(rejected).toEqual([
      { row: rows[maxArticles], fault: { code: 'too_many_articles', detail: expect.any(String) } },
    ]);

    const articleKeys = (shipment?.articles ?? []).map(({ articleKey }) => articleKey);
    const nearlyFull = { currency: eur, articleKeys: articleKeys.slice(1) };
    const later = merged([good({ sku: 'A' }), good({ sku: 'B' }), good({ sku: 'S5' })], eur, nearlyFull);
    expect(later.shipment?.articles.map(({ sku }) => sku)).toEqual(['A', 'S5']);
    expect(later.rejected.map(({ row: { article } }) => article?.sku)).toEqual(['B']);
  });

  test('of which none is good make nothing', () => {
    expect(merged([good({ article_price: '-1' })])).toMatchObject({ shipment: null, rejected: [{}] });
  });
});

describe('a JSON document', () => {
  test('is read as cells: numbers in major units, names without case, what is unknown told', () => {
    const document = readRowDocument({
      Tracking_Number: 12345678,
      carrier: ' DHL ',
      article_price: 19.99,
      sku: null,
      note: 'x',
      line: 7,
    });
    if ('code' in document) throw new Error(document.detail);
    expect(shipmentFields.map((field) => document.cell(field)).filter((text) => text !== '')).toEqual([
      '12345678',
      'DHL',
      '19.99',
    ]);
    expect(document.unused).toEqual(['note']);
  });

  test('with a number that JSON cannot carry, or with something else than cells, is rejected', () => {
    expect(readRowDocument({ tracking_number: 1.2e21 })).toMatchObject({ code: 'tracking_number_spoiled' });
    expect(readRowDocument({ tracking_number: 2 ** 53 + 2 })).toMatchObject({ code: 'tracking_number_spoiled' });
    expect(readRowDocument({ carrier: {} })).toMatchObject({ code: 'carrier_invalid' });
    expect(readRowDocument({ carrier: 'a', Carrier: 'b' })).toMatchObject({ code: 'malformed_row' });
  });
});

test('whatever stands in the cells, a row is good or rejected in a sentence', { timeout: 60_000 }, () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.constantFrom('', '0', '-1', '1E+9', 'EUR', '\u0000'),
  );
  const cells = fc.record(
    Object.fromEntries(shipmentFields.map((field) => [field, fc.oneof(anyText, fc.constant(laptop[field] ?? ''))])),
  ) as fc.Arbitrary<Cells>;
  fc.assert(
    fc.property(cells, (given) => {
      const row = readShipmentRow((field) => (given[field] ?? '').trim(), now);
      if ('code' in row) {
        expect(row.code).toMatch(/^[a-z_]+$/);
        expect(row.detail.length).toBeGreaterThan(5);
        return;
      }
      const { shipment, rejected } = merged([row]);
      expect((shipment === null ? 0 : 1) + rejected.length).toBe(1);
    }),
    { numRuns: 200 },
  );
});
