import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { clearShipments, shipmentInconsistencies, shipmentKey } from '../testing/test-shipments.ts';

const { app, server, rowCounts } = await openTestApi();
beforeEach(() => clearShipments(app.db));

const types = { csv: 'text/csv', ndjson: 'application/x-ndjson', array: 'application/json' } as const;

const post = (payload: string | Buffer, type: keyof typeof types, more: { search?: string; gzip?: boolean } = {}) =>
  server.fastify.inject({
    method: 'POST',
    url: `/api/v1/shipments/bulk?report=all${more.search ?? ''}`,
    headers: { 'content-type': types[type], ...(more.gzip === true ? { 'content-encoding': 'gzip' } : {}) },
    payload,
  });

async function bulk(...args: Parameters<typeof post>) {
  const answer = await post(...args);
  expect(answer.statusCode, answer.body).toBe(200);
  const lines = answer.body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { outcomes: lines.slice(0, -1), summary: lines.at(-1).summary };
}

const seed = await readFile(fileURLToPath(new URL('../testing/shipment-seeds/original.csv', import.meta.url)), 'utf8');
const zeros = { rows: 0, created: 0, updated: 0, unchanged: 0, rejected: 0, unknown_statuses: 0, unused_columns: [] };

test("the brief's file is imported as CSV, packed or not, and again nothing changes", async () => {
  const { outcomes, summary } = await bulk(`\uFEFF${seed}`, 'csv');
  expect(summary).toEqual({ ...zeros, rows: 9, created: 9 });
  expect(outcomes[0]).toEqual({ line: 2, outcome: 'created' });
  expect(await rowCounts()).toMatchObject({ shipments: 5, shipment_articles: 9, shipment_events: 5 });
  expect((await bulk(gzipSync(seed), 'csv', { gzip: true })).summary).toEqual({ ...zeros, rows: 9, unchanged: 9 });
  const shipment = await server.fastify.inject(`/api/v1/shipments/dhl/tn12345678`);
  expect(shipment.json()).toMatchObject({
    status: 'in_transit',
    receiver: { city: 'Paris', country: 'FR' },
    articles: [{ sku: 'LP123', unit_price: 80_000 }, { sku: 'MO456' }],
  });
});

test('rows are judged one by one, with line and code, and told what their shipment did', async () => {
  const own = { tracking_number: 'TN1', carrier: 'DHL', article_quantity: 1 };
  const rows = [
    { ...own, article_name: 'A', article_price: '150', note: 'x' },
    { ...own, article_name: 'B', article_quantity: 0 },
    { tracking_number: 'TN2', carrier: 'UPS', status: 'beamed up' },
    [],
    { ...own, tracking_number: '1.2E+21' },
    { ...own, article_name: 'C', article_price: 1.5 },
    { ...own, article_name: 'D', article_price: 2, currency: 'JPY' },
  ];
  const text = `${rows.map((row) => JSON.stringify(row)).join('\n')}\n{`;
  const { outcomes, summary } = await bulk(text, 'ndjson', { search: '&currency=JPY' });
  expect(outcomes.map(({ line, outcome, code }) => [line, outcome, code])).toEqual([
    [1, 'created', undefined],
    [2, 'rejected', 'quantity_zero'],
    [3, 'created', undefined],
    [4, 'rejected', 'malformed_row'],
    [5, 'rejected', 'tracking_number_spoiled'],
    [6, 'rejected', 'price_too_fine'],
    [7, 'created', undefined],
    [8, 'rejected', 'malformed_json'],
  ]);
  expect(outcomes[2]).toMatchObject({ unknown_status: 'beamed up' });
  expect(summary).toEqual({
    ...zeros,
    rows: 8,
    created: 3,
    rejected: 5,
    unknown_statuses: 1,
    unused_columns: ['note'],
  });
  expect(
    (await app.shipments.getShipment(shipmentKey('DHL', 'TN1'))).articles.map(({ unitPrice }) => unitPrice),
  ).toEqual([150, 2]);

  const again = await bulk(
    JSON.stringify([{ ...own, article_name: 'A', article_price: 150, currency: 'EUR' }]),
    'array',
  );
  expect(again.outcomes).toMatchObject([{ line: 1, outcome: 'rejected', code: 'currency_conflict' }]);
});

test('a shipment whose rows stand in several parts is one', async () => {
  const rows = Array.from({ length: 5_000 }, (_, i) => `TN${i % 1_500},DHL,Article ${i},1,,in_transit`);
  const text = ['tracking_number,Carrier,article_name,article_quantity,Remark,status', ...rows].join('\n');
  const first = await bulk(text, 'csv');
  expect(first.summary).toEqual({ ...zeros, rows: 5_000, created: 2_000, updated: 3_000, unused_columns: ['Remark'] });
  expect(await rowCounts()).toMatchObject({ shipments: 1_500, shipment_articles: 5_000, shipment_events: 1_500 });
  const shipment = await app.shipments.getShipment(shipmentKey('DHL', 'TN7'));
  expect(shipment.articles.map(({ name }) => name)).toEqual([
    'Article 7',
    'Article 1507',
    'Article 3007',
    'Article 4507',
  ]);
  expect((await bulk(text, 'csv')).summary).toMatchObject({ unchanged: 5_000, updated: 0, created: 0 });
});

test('rows beyond the articles a shipment may have are rejected, in later parts and requests too', async () => {
  const rows = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => `TN1,DHL,Article ${from + i},1`);
  const csv = (...lines: string[]) => ['tracking_number,carrier,article_name,article_quantity', ...lines].join('\n');
  const rejectedOf = ({ outcomes }: Awaited<ReturnType<typeof bulk>>) =>
    outcomes.filter(({ outcome }) => outcome === 'rejected');
  // A part has 2,000 rows: 499 articles stand in the first one, three more in the second.
  const others = Array.from({ length: 1_501 }, (_, i) => `OTHER${i},DHL,A,1`);
  const first = await bulk(csv(...rows(0, 499), ...others, ...rows(499, 3)), 'csv');
  expect(rejectedOf(first)).toMatchObject([
    { line: 2_003, outcome: 'rejected', code: 'too_many_articles' },
    { line: 2_004, outcome: 'rejected', code: 'too_many_articles' },
  ]);
  expect((await app.shipments.getShipment(shipmentKey('DHL', 'TN1'))).articles).toHaveLength(500);
  const second = await bulk(csv(...rows(0, 2), ...rows(600, 1)), 'csv');
  expect(rejectedOf(second)).toMatchObject([{ line: 4, outcome: 'rejected', code: 'too_many_articles' }]);
});

test('a look-up answers what a bulk request has stored', async () => {
  const text = (status: string) => JSON.stringify({ tracking_number: 'TN1', carrier: 'DHL', status });
  const status = async () => (await server.fastify.inject('/api/v1/shipments/DHL/TN1')).json().status;
  expect(await status()).toBe(404);
  await bulk(text('in_transit'), 'ndjson');
  expect(await status()).toBe('in_transit');
  await bulk(text('delivered'), 'ndjson');
  expect(await status()).toBe('delivered');
});

test.each([
  ['no header', ''],
  ['a header without the columns', 'tracking_number\n1'],
  ['a column twice', 'tracking_number,carrier,carrier\n1,2,3'],
])('CSV with %s is refused as a whole', async (_, text) => {
  const answer = await post(text, 'csv');
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({ errors: [{ code: 'invalid_header' }] });
});

test('whatever bytes come, it is never a 500, no shipment is half written, and outcomes are as many as rows', async () => {
  const bytes = Buffer.from(seed);
  const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 12 });
  const wild = fc.uint8Array({ maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(changes, wild, fc.constantFrom('csv', 'ndjson', 'array'), async (given, tail, type) => {
      const body = Buffer.concat([bytes, tail]);
      for (const [at, byte] of given) body[at] = byte;
      const answer = await post(body, type as keyof typeof types);
      expect(answer.statusCode).toBeLessThan(500);
      expect(await shipmentInconsistencies(app.db)).toEqual([]);
      if (answer.statusCode !== 200) return;
      const lines = answer.body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const { rows, created, updated, unchanged, rejected } = lines.at(-1).summary;
      expect(created + updated + unchanged + rejected).toBe(rows);
      expect(lines).toHaveLength(rows + 1);
    }),
    { numRuns: 80 },
  );
});
