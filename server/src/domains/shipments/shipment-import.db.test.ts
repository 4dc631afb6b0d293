import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImportFileError } from '../../core/csv-columns.ts';
import { createCsvReader } from '../../core/csv-reader.ts';
import type { RejectedLine } from '../../core/import-line.ts';
import type { FileHeader } from '../../core/import-reading.ts';
import type { Currency } from '../../core/money.ts';
import { rejectedHeading, rejectedText } from '../../core/rejected-text.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import {
  clearShipments,
  eventToRecord,
  openTestShipments,
  shipmentInconsistencies,
  shipmentKey,
  shipmentToWrite,
} from '../../testing/test-shipments.ts';
import type { ShipmentImportRequest } from './shipment-import-service.ts';

const { db, clock, shipments, shipmentsOn, told } = await openTestShipments();

beforeEach(async () => {
  clock.set(testNow);
  await clearShipments(db);
  told.length = 0;
});
afterEach(async () => {
  expect(await shipmentInconsistencies(db)).toEqual([]);
});

async function importText(text: string | Uint8Array, more: Partial<ShipmentImportRequest> = {}) {
  const lines: RejectedLine[] = [];
  let header: FileHeader | null = null;
  const summary = await shipments.imports.importShipments({
    chunks: Readable.from([Buffer.from(text as string)]),
    format: 'csv',
    dryRun: false,
    signal: new AbortController().signal,
    onProgress() {},
    onRejected: (line) => void lines.push(line),
    onHeader(found) {
      header = found;
    },
    ...more,
  });
  return { ...summary, lines, header: header as FileHeader | null };
}

const names = ['tracking_number', 'carrier', 'sender_address', 'receiver_address', 'article_name', 'article_quantity'];
const header = [...names, 'article_price', 'sku', 'status', 'status_at', 'currency'].join(',');
type Cells = Partial<
  Record<
    'number' | 'carrier' | 'receiver' | 'name' | 'quantity' | 'price' | 'sku' | 'status' | 'at' | 'currency',
    string
  >
>;
const row = (cells: Cells = {}) => {
  const { number = 'TN1', carrier = 'DHL', receiver = 'Street 10, 75001 Paris, France', name = 'Laptop' } = cells;
  const { quantity = '1', price = '800', sku = 'LP123', status = '', at = '', currency = '' } = cells;
  return [number, carrier, '', `"${receiver}"`, name, quantity, price, sku, status, at, currency].join(',');
};
const csv = (...rows: readonly Cells[]) => [header, ...rows.map(row)].join('\n');
const importRows = (...rows: readonly Cells[]) => importText(csv(...rows));

const tables = ['shipments', 'shipment_articles', 'shipment_events'] as const;
/** Every row with its version in the storage: a row that was written again has another. */
const rowVersions = async () => {
  const texts: string[] = [];
  for (const table of tables) {
    const found = await db.query(
      dynamic<{ text: string }>(
        sql`select ${table}::text || ' ' || xmin::text || ' ' || ctid::text || ' ' || t::text as text from ${sql.table(table)} t order by 1`,
      ),
    );
    texts.push(...found.map(({ text }) => text));
  }
  return texts;
};
const get = (number = 'TN1', carrier = 'DHL') => shipments.getShipment(shipmentKey(carrier, number));
const counted = ({
  shipmentsCreated,
  shipmentsUpdated,
  shipmentsUnchanged,
}: Awaited<ReturnType<typeof importText>>) => [shipmentsCreated, shipmentsUpdated, shipmentsUnchanged];

const seedFile = (name: string) =>
  readFile(fileURLToPath(new URL(`../../testing/shipment-seeds/${name}.csv`, import.meta.url)), 'utf8');

describe("the brief's files", () => {
  test.each(['original', 'nospace', 'nostatus'])(
    '%s makes 5 shipments with 9 articles, and again nothing',
    async (name) => {
      const text = await seedFile(name);
      expect(await importText(text)).toMatchObject({
        ...{ rows: 9, rowsRejected: 0, shipmentsCreated: 5, shipmentsUpdated: 0, shipmentsUnchanged: 0, articles: 9 },
        ...{ unknownStatuses: {}, lines: [] },
      });
      const first = await rowVersions();
      clock.set(testNow + 60_000);
      expect(await importText(text)).toMatchObject({ shipmentsCreated: 0, shipmentsUpdated: 0, shipmentsUnchanged: 5 });
      expect(await rowVersions()).toEqual(first);
      expect(await get('tn-12345678', 'dhl')).toMatchObject({
        sender: { street: 'Street 1', postalCode: '10115', city: 'Berlin', country: 'DE' },
        receiver: { street: 'Street 10', postalCode: '75001', city: 'Paris', country: 'FR' },
        status: name === 'nostatus' ? 'pre_transit' : 'in_transit',
        currency: 'EUR',
        articles: [
          { sku: 'LP123', name: 'Laptop', quantity: 1, unitPrice: 80_000 },
          { sku: 'MO456', name: 'Mouse', quantity: 1, unitPrice: 2_500 },
        ],
      });
    },
  );

  test('gives the same with its columns and rows in another order, a byte order mark and CRLF', async () => {
    const reader = createCsvReader();
    const text = await seedFile('original');
    const [names = [], ...rows] = [...reader.push(text), ...reader.end()].map(({ cells }) => cells);
    const turned = [names.map((name) => ` ${name.toUpperCase()} `), ...rows.reverse()].map((cells) =>
      [...cells]
        .reverse()
        .map((cell) => `"${cell}"`)
        .join(','),
    );
    expect(await importText(`\uFEFF${turned.join('\r\n')}`)).toMatchObject({ shipmentsCreated: 5, articles: 9 });
    expect(counted(await importText(text))).toEqual([0, 0, 5]);
  });

  test('spelled otherwise changes the addresses and is no other status', async () => {
    await importText(await seedFile('original'));
    expect(counted(await importText(await seedFile('nospace')))).toEqual([0, 2, 3]);
    expect(await get('TN12345678')).toMatchObject({
      receiver: { address: 'Street 10, 75001 Paris,France', city: 'Paris', country: 'FR' },
      events: [{ code: 'in_transit' }],
      version: 2,
    });
  });
});

describe('a shipment', () => {
  test('is one however far its rows are apart, and another one at another carrier', async () => {
    const many = Array.from({ length: 3_000 }, (_, i) => ({ number: `TN${i % 1_000}`, sku: `S${i}`, name: `N${i}` }));
    expect(await importRows(...many, { carrier: 'UPS' })).toMatchObject({ shipmentsCreated: 1_001, articles: 3_001 });
    expect((await get('TN7')).articles.map(({ sku }) => sku)).toEqual(['S7', 'S1007', 'S2007']);
    expect((await get('TN1', 'UPS')).articles).toHaveLength(1);
    expect(counted(await importRows(...many.reverse()))).toEqual([0, 0, 1_000]);
  });

  test('gets an event for a status that changed, and none for one that a carrier has overtaken', async () => {
    await importRows({ status: 'in-transit' }, { sku: 'B', status: 'in-transit' });
    await shipments.recordEvent(eventToRecord('delivered', testNow + 1));
    clock.set(testNow + 60_000);
    expect(counted(await importRows({ status: 'In Transit' }))).toEqual([0, 0, 1]);
    expect(counted(await importRows({ status: 'returned' }))).toEqual([0, 1, 0]);
    expect(await get()).toMatchObject({
      status: 'returned',
      version: 3,
      events: [{ code: 'returned', occurredAt: testNow + 60_000 }, { code: 'delivered' }, { code: 'in-transit' }],
    });
    expect(counted(await importRows({ status: 'returned' }))).toEqual([0, 0, 1]);
  });

  test('has its history from a file with instants, each event once', async () => {
    const history = [
      { status: 'picked_up', at: '2025-06-01T08:00:00Z' },
      { status: 'delivered', at: '2025-06-03T08:00:00Z' },
      { status: 'in_transit', at: '2025-06-02T08:00:00+00:00' },
    ];
    await importRows(...history);
    const first = await rowVersions();
    expect(counted(await importRows(...history))).toEqual([0, 0, 1]);
    expect(await rowVersions()).toEqual(first);
    const { status, events } = await get();
    expect({ status, codes: events.map(({ code }) => code) }).toEqual({
      status: 'delivered',
      codes: ['delivered', 'in_transit', 'picked_up'],
    });
  });

  test('keeps a status that nobody understands, and it is told with its rows', async () => {
    const rows = [{ status: 'beamed up' }, { sku: 'B', status: 'beamed up' }, { number: 'TN2', status: 'scanned' }];
    expect(await importRows(...rows)).toMatchObject({ rowsRejected: 0, unknownStatuses: { 'beamed up': 2 } });
    expect(await get()).toMatchObject({ status: 'unknown', events: [{ code: 'beamed up' }] });
  });

  test('is changed by what a file says differently, and by nothing that it leaves out', async () => {
    await importRows({ status: 'in_transit' }, { name: 'Cable', sku: '', price: '5' });
    clock.set(testNow + 60_000);
    expect(counted(await importRows({ quantity: '2', price: '', receiver: '' }))).toEqual([0, 1, 0]);
    expect(
      counted(await importRows({ name: 'Cable', sku: '', price: '6.50', receiver: 'Weg 2, 20144 Hamburg' })),
    ).toEqual([0, 1, 0]);
    expect(counted(await importRows({ name: 'Notebook', price: '799' }, { sku: 'NEW', name: 'Bag' }))).toEqual([
      0, 1, 0,
    ]);
    expect(await get()).toMatchObject({
      version: 4,
      status: 'in_transit',
      updatedAt: testNow + 60_000,
      receiver: { address: 'Street 10, 75001 Paris, France' },
      articles: [
        { sku: 'LP123', name: 'Notebook', quantity: 1, unitPrice: 79_900 },
        { sku: null, name: 'Cable', quantity: 1, unitPrice: 650 },
        { sku: 'NEW', name: 'Bag' },
      ],
    });
  });

  test('keeps its currency: rows in another one are rejected alone', async () => {
    await importRows({ currency: 'usd', price: '8' });
    const again = await importRows({ price: '9' }, { sku: 'B', price: '' });
    expect(again).toMatchObject({
      rowsRejected: 1,
      shipmentsUpdated: 1,
      lines: [{ line: 2, code: 'currency_conflict' }],
    });
    expect(await get()).toMatchObject({
      currency: 'USD',
      articles: [{ unitPrice: 800 }, { sku: 'B', unitPrice: null }],
    });
    expect(counted(await importText(csv({ price: '8' }), { currency: 'USD' as Currency }))).toEqual([0, 0, 1]);
  });

  test('gets no more articles than the API allows, however they come; the rows beyond are rejected one by one', async () => {
    const rows = (from: number, count: number): Cells[] =>
      Array.from({ length: count }, (_, i) => ({ sku: `S${from + i}` }));
    const first = await importRows(...rows(0, 300), { number: 'TN2' });
    expect(first).toMatchObject({ rowsRejected: 0, articles: 301 });
    // 250 more, 50 of them there already; then 2 too many, and one that changes.
    const text = csv(...rows(250, 252), { sku: 'S0', quantity: '9' });
    const expected = {
      ...{ rows: 253, rowsRejected: 2, shipmentsUpdated: 1, articles: 251 },
      lines: [
        { line: 252, code: 'too_many_articles' },
        { line: 253, code: 'too_many_articles' },
      ],
    };
    expect(await importText(text, { dryRun: true })).toMatchObject(expected);
    expect(await importText(text)).toMatchObject(expected);
    const { articles } = await get();
    expect(articles).toHaveLength(500);
    expect(articles[0]).toMatchObject({ sku: 'S0', quantity: 9 });
    const line = JSON.stringify({ tracking_number: 'TN1', carrier: 'DHL', article_name: 'More', article_quantity: 1 });
    expect(await importText(line, { format: 'ndjson' })).toMatchObject({
      ...{ rowsRejected: 1, shipmentsUpdated: 0, lines: [{ line: 1, code: 'too_many_articles' }] },
    });
  });

  test('gets no more articles either when two imports add them at once', async () => {
    await importRows({ sku: 'FIRST' });
    const other = shipmentsOn(db);
    const of = (source: string) => csv(...Array.from({ length: 400 }, (_, i) => ({ sku: `${source}${i}` })));
    const rejected = { codes: new Set<string>(), rows: 0 };
    const importAll = (on: typeof shipments, source: string) =>
      on.imports.importShipments({
        ...{ chunks: Readable.from([Buffer.from(of(source))]), format: 'csv', dryRun: false, onProgress() {} },
        signal: new AbortController().signal,
        onRejected({ code }) {
          rejected.codes.add(code);
          rejected.rows++;
        },
      });
    await Promise.all([importAll(shipments, 'A'), importAll(other, 'B')]);
    expect((await get()).articles).toHaveLength(500);
    expect(rejected).toEqual({ codes: new Set(['too_many_articles']), rows: 301 });
  });

  test('that the API made is changed by a file as well, and its document is still known', async () => {
    await shipments.createShipment(shipmentToWrite());
    expect(counted(await importRows({ status: 'delivered' }))).toEqual([0, 1, 0]);
    expect(await shipments.createShipment(shipmentToWrite())).toMatchObject({ replayed: true });
    expect(await get()).toMatchObject({ status: 'delivered', articles: [{ sku: 'A' }, { sku: 'LP123' }] });
  });

  test('that changed is told once it is committed, one that did not is not', async () => {
    await importRows({}, { number: 'TN2' });
    expect(told.map(({ trackingKey }) => trackingKey).sort()).toEqual(['TN1', 'TN2']);
    told.length = 0;
    await importRows({}, { number: 'TN2', quantity: '7' }, { number: 'TN3', quantity: '0' });
    expect(told).toEqual([shipmentKey('DHL', 'TN2')]);
  });
});

test('two imports of the same file at once make each shipment once', async () => {
  const rows = Array.from({ length: 2_500 }, (_, i) => ({ number: `TN${i}`, status: 'scanned' }));
  const other = shipmentsOn(db);
  const results = await Promise.all([
    importRows(...rows),
    other.imports.importShipments({
      chunks: Readable.from([Buffer.from(csv(...[...rows].reverse()))]),
      format: 'csv',
      dryRun: false,
      signal: new AbortController().signal,
      onProgress() {},
      onRejected() {},
    }),
  ]);
  const sum = (of: (summary: (typeof results)[number]) => number) => results.reduce((total, one) => total + of(one), 0);
  expect(sum(({ shipmentsCreated }) => shipmentsCreated)).toBe(2_500);
  expect(sum(({ shipmentsUnchanged }) => shipmentsUnchanged)).toBe(2_500);
});

test('rows are rejected one by one with line and code, and mended ones are taken as they stand', async () => {
  const long = 'x'.repeat(70_000);
  const text = [
    ...csv(
      {},
      { sku: 'B', quantity: '0' },
      { number: '' },
      { number: '1.2E+21' },
      { carrier: '' },
      { price: '0.001' },
    ).split('\n'),
    `TN2,DHL,${long}`,
    'TN3,DHL,short',
    row({ number: 'TN4', receiver: 'a\u0000b' }),
    row({ number: 'TN5' }),
  ].join('\n');
  const first = await importText(text);
  expect(first.lines.map(({ line, code }) => [line, code]).sort(([a], [b]) => Number(a) - Number(b))).toEqual([
    [3, 'quantity_zero'],
    [4, 'tracking_number_missing'],
    [5, 'tracking_number_spoiled'],
    [6, 'carrier_missing'],
    [7, 'price_too_fine'],
    [8, 'row_too_long'],
    [9, 'malformed_row'],
    [10, 'receiver_address_invalid'],
  ]);
  expect(first).toMatchObject({ rows: 10, rowsRejected: 8, shipmentsCreated: 2, articles: 2 });

  const told = first.lines.filter(({ line }) => [3, 7].includes(line));
  const errors = [rejectedHeading(told[0] as RejectedLine), ...told.map(rejectedText)].join('');
  expect(errors).toMatch(/^tracking_number,.*,error,line\r\n.*quantity_zero: /);
  const mended = errors.replace(',0,800,B,', ',2,800,B,').replace('0.001', '0.01');
  expect(await importText(mended)).toMatchObject({
    rows: 2,
    rowsRejected: 0,
    shipmentsUpdated: 1,
    header: { unused: [] },
  });
  expect((await get()).articles).toEqual([
    { sku: 'LP123', name: 'Laptop', quantity: 1, unitPrice: 1 },
    { sku: 'B', name: 'Laptop', quantity: 2, unitPrice: 80_000 },
  ]);
});

test('a dry run says what would happen and writes nothing', async () => {
  await importRows({}, { number: 'TN2' });
  const before = await rowVersions();
  const text = csv({}, { number: 'TN2', status: 'delivered' }, { number: 'TN3' }, { number: 'TN4', quantity: '0' });
  const foretold = await importText(text, { dryRun: true });
  expect(await rowVersions()).toEqual(before);
  const { lines, ...done } = await importText(text);
  expect(foretold).toEqual({ ...done, lines });
  expect(counted({ ...done, lines })).toEqual([1, 1, 1]);
});

test('columns without a use are told once, missing ones refuse the file, others may be mapped', async () => {
  const text = 'Nr,Paketdienst,Notiz,Ware,Menge\nTN1,DHL,x,Laptop,1\nTN1,DHL,y,Maus,2';
  const map = new Map([
    ['tracking_number', 'nr'],
    ['carrier', 'Paketdienst'],
    ['article_name', 'Ware'],
    ['article_quantity', 'Menge'],
  ]);
  expect(await importText(text, { map })).toMatchObject({
    articles: 2,
    header: { unused: ['Notiz'], mapping: { tracking_number: 'Nr', sku: null } },
  });
  for (const broken of [text, '', 'tracking_number,carrier,carrier\n1,2,3', 'tracking_number\n1'])
    await expect(importText(broken)).rejects.toThrow(ImportFileError);
});

test('NDJSON has the same fields: text and numbers, and says what it has no use for', async () => {
  const lines = [
    {
      tracking_number: 'TN1',
      carrier: 'DHL',
      article_name: 'Laptop',
      article_quantity: 1,
      article_price: 800,
      sku: 'L',
      note: 1,
    },
    { tracking_number: 12, carrier: 'DHL', receiver_address: null, status: 'delivered', note: 2 },
    {
      tracking_number: 'TN1',
      carrier: 'dhl',
      article_name: 'Mouse',
      article_quantity: '1',
      article_price: '25.00',
      sku: 'M',
    },
    { tracking_number: 'TN1', carrier: 'DHL', article_name: 'X', article_quantity: true },
  ].map((document) => JSON.stringify(document));
  const text = [...lines, '[1]', '{', '', `{"carrier":"${'x'.repeat(70_000)}"}`].join('\n');
  const result = await importText(text, { format: 'ndjson' });
  expect(result).toMatchObject({
    rows: 7,
    rowsRejected: 4,
    shipmentsCreated: 2,
    articles: 2,
    unusedFields: { note: 2 },
  });
  expect(result.lines.map(({ line, code }) => [line, code]).sort()).toEqual([
    [4, 'article_quantity_invalid'],
    [5, 'malformed_row'],
    [6, 'malformed_row'],
    [8, 'row_too_long'],
  ]);
  expect((await get()).articles.map(({ unitPrice }) => unitPrice)).toEqual([80_000, 2_500]);
  const [first] = result.lines;
  expect(JSON.parse(rejectedText(first as RejectedLine))).toMatchObject({ error: expect.stringContaining(':') });
});

describe('whatever comes', () => {
  const word = fc.oneof(
    fc.constantFrom(
      '',
      'TN1',
      'tn-1',
      'TN2',
      'DHL',
      '1',
      '0',
      '-1',
      '0.5',
      '1.2E+21',
      'delivered',
      'EUR',
      'JPY',
      '2026-01-01',
    ),
    fc.constantFrom('Street 10, 75001 Paris, France', '"', ',', '\n', '\u0000', '\ud800', 'é', '2025-01-01T00:00:00Z'),
    fc.string({ unit: 'binary', maxLength: 12 }),
  );
  const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;

  const expectSound = async (text: string | Uint8Array, format: 'csv' | 'ndjson') => {
    const result = await importText(text, { format }).catch((error: unknown) => {
      expect(error).toBeInstanceOf(ImportFileError);
      return null;
    });
    expect(await shipmentInconsistencies(db)).toEqual([]);
    if (result === null) return;
    // Each row is rejected or part of what was written.
    expect(result.lines).toHaveLength(result.rowsRejected);
    expect(result.rowsRejected).toBeLessThanOrEqual(result.rows);
    const whole = result.shipmentsCreated + result.shipmentsUpdated + result.shipmentsUnchanged;
    expect(whole).toBeLessThanOrEqual(result.rows - result.rowsRejected);
    expect(whole > 0).toBe(result.rows > result.rowsRejected);
    const before = await rowVersions();
    expect(counted(await importText(text, { format }))).toEqual([0, 0, whole]);
    expect(await rowVersions()).toEqual(before);
  };

  test('in rows, each is rejected or stored, and again nothing changes', async () => {
    const rows = fc.array(fc.array(word, { minLength: 11, maxLength: 11 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(rows, async (cells) => {
        await clearShipments(db);
        await expectSound([header, ...cells.map((own) => own.map(cell).join(','))].join('\n'), 'csv');
      }),
      { numRuns: 60 },
    );
  });

  test('in documents, each is rejected or stored, and again nothing changes', async () => {
    const value = fc.oneof(word, fc.double(), fc.integer(), fc.constantFrom(null, true), fc.constant([]));
    const documents = fc.array(
      fc.dictionary(fc.oneof(fc.constantFrom(...header.split(',')), fc.string({ maxLength: 5 })), value, {
        maxKeys: 11,
      }),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(documents, async (given) => {
        await clearShipments(db);
        const lines = given.map((document) =>
          JSON.stringify({ tracking_number: 'TN1', carrier: 'DHL', ...document }).toWellFormed(),
        );
        await expectSound(lines.join('\n'), 'ndjson');
      }),
      { numRuns: 60 },
    );
  });

  test('in bytes, a good file with some of them changed', async () => {
    const seed = Buffer.from(await seedFile('original'));
    const changes = fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(changes, async (given) => {
        await clearShipments(db);
        const bytes = Buffer.from(seed);
        for (const [at, byte] of given) bytes[at] = byte;
        await expectSound(bytes, 'csv');
      }),
      { numRuns: 40 },
    );
  });
});
