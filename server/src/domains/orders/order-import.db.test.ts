import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImportFileError } from '../../core/csv-columns.ts';
import type { RejectedLine } from '../../core/import-line.ts';
import type { Currency } from '../../core/money.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { emptyOrders, inconsistencies, openTestOrders } from '../../testing/test-orders.ts';
import { createOrderImporter, type ImportRequest } from './order-import-service.ts';
import type { ImportSummary } from './order-import-tally.ts';

const { db, orders, clock } = await openTestOrders();
const importer = createOrderImporter({ db, writer: orders.writer, defaultCurrency: 'EUR' as Currency });

beforeEach(async () => {
  clock.set(Date.parse('2025-06-30T12:30:00Z'));
  await emptyOrders(db);
});
afterEach(async () => {
  expect(await inconsistencies(db)).toEqual([]);
});

interface Imported extends ImportSummary {
  readonly lines: readonly RejectedLine[];
}

async function importText(text: string | Buffer, more: Partial<ImportRequest> = {}): Promise<Imported> {
  const lines: RejectedLine[] = [];
  const bytes = Buffer.from(text as string);
  const chunks = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
    bytes.subarray(i * 65_536, (i + 1) * 65_536),
  );
  const summary = await importer.importOrders({
    chunks: Readable.from(chunks),
    format: 'csv',
    preset: 'default',
    dryRun: false,
    signal: new AbortController().signal,
    onProgress() {},
    onRejected: (line) => void lines.push(line),
    ...more,
  });
  return { ...summary, lines };
}

const stored = async () => {
  const [row] = await db.query(
    dynamic<{ orders: bigint; cancelled: bigint; items: bigint; total: bigint }>(sql`
      select count(*) as orders, count(*) filter (where status = 'cancelled') as cancelled, coalesce(sum(jsonb_array_length(items)), 0)::bigint as items,
             coalesce(sum(total_minor), 0)::bigint as total from orders`),
  );
  const [history] = await db.query(dynamic<{ statuses: bigint }>(sql`select count(*) as statuses from order_statuses`));
  return { ...row, ...history };
};

const sample = fileURLToPath(new URL('../../../sample-data/online-retail.csv.gz', import.meta.url));
const retail = { preset: 'online-retail' } as const;

describe('the sample of Online Retail', async () => {
  const text = gunzipSync(await readFile(sample)).toString('utf8');
  // Computed apart from this code, from the same rules.
  const figures = { rows: 49_133, rowsRejected: 85, ordersRejected: 0, items: 49_048, statusesAdded: 0 };
  const inDatabase = { orders: 2_215n, cancelled: 382n, items: 49_048n, total: 105_870_171n, statuses: 4_430n };

  test('gives exactly its orders, and again nothing', async () => {
    expect(await importText(text, retail)).toMatchObject({ ...figures, ordersCreated: 2_215, ordersReplayed: 0 });
    expect(await stored()).toEqual(inDatabase);
    expect(await importText(text, retail)).toMatchObject({ ...figures, ordersCreated: 0, ordersReplayed: 2_215 });
    expect(await stored()).toEqual(inDatabase);
  });

  test('gives the same with its lines and columns in another order', async () => {
    const [header = '', ...lines] = text.trimEnd().split('\n');
    // Every third line, then the others: the lines of every order stand apart. Quoted cells keep their commas, so no columns move.
    const apart = [0, 1, 2].flatMap((rest) => lines.filter((_, i) => i % 3 === rest));
    expect(await importText(`\uFEFF${[header, ...apart].join('\r\n')}`, retail)).toMatchObject({
      ...figures,
      ordersCreated: 2_215,
    });
    expect(await stored()).toEqual(inDatabase);
  });

  test('ends when it is told to, and sent again it is whole', async () => {
    const abort = new AbortController();
    const onProgress: ImportRequest['onProgress'] = ({ phase }) => {
      if (phase === 'writing') abort.abort(new Error('interrupted'));
    };
    await expect(importText(text, { ...retail, signal: abort.signal, onProgress })).rejects.toThrow('interrupted');
    const half = await stored();
    expect(half?.orders).toBeLessThan(2_215n);
    expect(half?.orders).toBeGreaterThan(0n);
    const again = await importText(text, retail);
    expect(again.ordersCreated + again.ordersReplayed).toBe(2_215);
    expect(await stored()).toEqual(inDatabase);
  });

  test('is only judged by a dry run', async () => {
    expect(await importText(text, { ...retail, dryRun: true })).toMatchObject({
      ...figures,
      ordersCreated: 2_215,
      ordersReplayed: 0,
    });
    expect(await stored()).toMatchObject({ orders: 0n, statuses: 0n });
    await importText(text, retail);
    expect(await importText(text, { ...retail, dryRun: true })).toMatchObject({
      ordersCreated: 0,
      ordersReplayed: 2_215,
    });
  });
});

test('the whole of Online Retail gives exactly its orders, and again nothing', { timeout: 120_000 }, async ({
  skip,
}) => {
  const file = process.env['MILLIARD_TEST_ONLINE_RETAIL'];
  if (file === undefined) return skip('name online_retail_2010-12_2011-05.csv.gz in MILLIARD_TEST_ONLINE_RETAIL');
  const text = gunzipSync(await readFile(file));
  const figures = { rows: 209_029, rowsRejected: 652, ordersRejected: 0, items: 208_377, statusesAdded: 0 };
  expect(await importText(text, retail)).toMatchObject({ ...figures, ordersCreated: 10_132, ordersReplayed: 0 });
  const whole = { orders: 10_132n, cancelled: 1_677n, items: 208_377n, total: 442_262_554n, statuses: 20_264n };
  expect(await stored()).toEqual(whole);
  expect(await importText(text, retail)).toMatchObject({ ...figures, ordersCreated: 0, ordersReplayed: 10_132 });
  expect(await stored()).toEqual(whole);
});

describe('a file of the default preset', () => {
  const header = 'order_number,customer_id,placed_at,sku,quantity,unit_price';
  const at = '2025-06-01T00:00:00Z';

  test('with a stray quote loses that line and, with it, the order of that line only', async () => {
    const lines = [`A,C,${at},S,1,25`, `B,C,${at},"S,1,25`, `C,C,${at},S,1,25.00`, `B,C,${at},T,1,1`];
    const result = await importText([header, ...lines].join('\n'));
    expect(result).toMatchObject({ rows: 4, rowsRejected: 2, ordersCreated: 2, ordersRejected: 1, items: 2 });
    expect(result.lines.map(({ line, code }) => [line, code])).toEqual([
      [3, 'malformed_row'],
      [5, 'order_rejected'],
    ]);
  });

  test('is refused as a whole when it has no lines or not the columns', async () => {
    await expect(importText('')).rejects.toThrow(ImportFileError);
    await expect(importText('a,b\n1,2\n')).rejects.toThrow(/order_number or order_id/);
    expect(await importText(`${header}\n`)).toMatchObject({ rows: 0, ordersCreated: 0 });
  });

  test('whose order was stored with another content is refused with its lines', async () => {
    await importText(`${header}\nA,C,${at},S,1,25\n`);
    const result = await importText(`${header}\nA,C,${at},S,2,25\nA,C,${at},T,1,1\n`);
    expect(result).toMatchObject({ ordersRejected: 1, rowsRejected: 2, items: 0 });
    expect(result.lines.map(({ code }) => code)).toEqual(['order_key_reused', 'order_key_reused']);
  });

  test('keeps text with NUL, quotes, tabs and backslashes from breaking anything', async () => {
    const cell = '"S ""\\\t 漢 \\N"';
    const result = await importText(`${header}\nA\u0000,C,${at},S,1,25\nB,C,${at},${cell},1,25\n`);
    expect(result).toMatchObject({ ordersCreated: 1, ordersRejected: 1 });
    const [row] = await db.query(dynamic<{ sku: string }>(sql`select items -> 0 ->> 'sku' as sku from orders`));
    expect(row?.sku).toBe('S "\\\t 漢 \\N');
  });
});

describe('NDJSON', () => {
  const brief = {
    order_id: 'ORD123456',
    customer_id: 'CUST789',
    timestamp: '2025-06-30T12:30:00Z',
    items: [
      { sku: 'SHOE001', quantity: 1, price: 2999 },
      { sku: 'BAG002', quantity: 2, price: 1999 },
    ],
  };
  const lines = (...documents: unknown[]) =>
    documents.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');

  test("takes the brief's own document, with and without a history", async () => {
    const history = { ...brief, order_id: 'B', statuses: [{ status: 'failed', occurred_at: '2025-06-30T12:30:00Z' }] };
    expect(await importText(lines(brief, history), { format: 'ndjson' })).toMatchObject({
      rows: 2,
      ordersCreated: 2,
      items: 4,
    });
    expect(await stored()).toMatchObject({ orders: 2n, cancelled: 1n, total: 13_994n });
  });

  test('adds what a history brings anew and counts it', async () => {
    await importText(lines(brief), { format: 'ndjson' });
    const later = { ...brief, statuses: [{ status: 'complete', occurred_at: '2025-06-30T12:31:00Z' }] };
    expect(await importText(lines(later), { format: 'ndjson' })).toMatchObject({ ordersReplayed: 1, statusesAdded: 1 });
    expect(await importText(lines(later), { format: 'ndjson' })).toMatchObject({ ordersReplayed: 1, statusesAdded: 0 });
  });

  test('rejects lines one by one, with what is wrong, and takes mended ones as they stand', async () => {
    const mended = { ...brief, order_id: 'M', error: 'invalid_order: …', line: 3 };
    const documents = ['{', '[1]', { ...brief, order_id: undefined }, { ...brief, items: [] }, mended];
    const result = await importText(lines(...documents), { format: 'ndjson' });
    expect(result).toMatchObject({ rows: 5, rowsRejected: 4, ordersRejected: 4, ordersCreated: 1 });
    expect(result.lines.map(({ line, code }) => [line, code])).toEqual([
      [1, 'malformed_row'],
      [2, 'malformed_row'],
      [3, 'order_number_missing'],
      [4, 'invalid_order'],
    ]);
  });
});

test('a file whose columns have other names is read by a map, and says from which columns', async () => {
  const csv = 'Beleg,Kunde,Datum,Artikel,quantity,price\nB1,K1,2025-06-30T12:30:00Z,SHOE,2,10.50';
  const map = new Map([
    ['order_number', 'Beleg'],
    ['customer_id', 'kunde'],
    ['placed_at', 'Datum'],
    ['sku', 'Artikel'],
  ]);
  const mappings: object[] = [];
  const onHeader: ImportRequest['onHeader'] = ({ mapping }) => void mappings.push(mapping);
  expect(await importText(csv, { map, onHeader })).toMatchObject({ ordersCreated: 1, rowsRejected: 0 });
  expect(mappings).toMatchObject([
    { order_number: 'Beleg', customer_id: 'Kunde', unit_price: 'price', currency: null },
  ]);
  expect(await stored()).toMatchObject({ orders: 1n, total: 2_100n });
  await expect(importText(csv)).rejects.toThrow(/no column order_number/);
});
