import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import type { RejectedLine } from '../../core/import-line.ts';
import { createImportFiles } from '../../flows/import-files.ts';
import { openInputFile } from '../../flows/input-file.ts';
import type { JobKind, JobRun, RunId } from '../../jobs/job.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import type { Database } from '../../storage/database.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { untouched, withCuts, withStops } from '../../testing/stopped-runs.ts';
import { createTestJobs, noThrottle } from '../../testing/test-jobs.ts';
import { clearShipments, openTestShipments, shipmentInconsistencies } from '../../testing/test-shipments.ts';
import { type ShipmentImportSummary, shipmentSummaryOf } from './shipment-import-tally.ts';
import type { Shipments } from './shipments-service.ts';
import { keyText } from './tracking-key.ts';

const { db, url, shipments, shipmentsOn, told } = await openTestShipments();
const folder = await mkdtemp(join(tmpdir(), 'milliard-shipment-jobs-'));
afterAll(() => rm(folder, { recursive: true }));

let rejected: RejectedLine[] = [];
const empty = async () => {
  await clearShipments(db);
  await db.query(dynamic(sql`truncate milliard_jobs.job_runs cascade`));
  rejected = [];
  told.length = 0;
};
const importTables = () =>
  db.query(dynamic(sql`select relname from pg_class where relkind = 'r' and relname like '%_import_%'`));
beforeEach(empty);
afterEach(async () => {
  expect(await shipmentInconsistencies(db)).toEqual([]);
  expect(await importTables()).toEqual([]);
});

/** An engine of its own, as if in another process, with batches of so many rows. */
function engineOf(on: Database, { imports }: Shipments, rows: number): Jobs {
  const files = {
    ...createImportFiles(),
    openRejected: async () => ({
      add: async (line: RejectedLine) => void rejected.push(line),
      close: async () => {},
    }),
  };
  const kind = { ...imports.kind({ files }), batchRows: { initial: rows, min: rows, max: rows } };
  return createTestJobs(on, { kinds: [kind as unknown as JobKind] });
}
const engine = (rows: number) => engineOf(db, shipments, rows);
const start = async (parameters: object): Promise<RunId> =>
  (await engine(1).start('shipments.import', parameters, { actor: 'test', throttle: noThrottle })).run.runId;

/** All shipments with their articles and events, each as one text. Instants of the clock stand still. */
const stored = async (): Promise<string[]> =>
  (
    await db.query(
      dynamic<{ text: string }>(sql`
        select concat_ws(' ', carrier, tracking_number, receiver_address, receiver_city, currency, status, status_code, status_at,
                 last_seq, moved_at, imported_status, version, created_at, updated_at,
                 (select string_agg(concat_ws('/', position, sku, name, quantity, unit_price_minor), ',' order by position)
                    from shipment_articles a where (a.tracking_key, a.carrier_key, a.bucket) = (s.tracking_key, s.carrier_key, s.bucket)),
                 (select string_agg(concat_ws('/', seq, occurred_at, code, actor), ',' order by seq)
                    from shipment_events e where (e.tracking_key, e.carrier_key, e.bucket) = (s.tracking_key, s.carrier_key, s.bucket))) as text
          from shipments s order by 1`),
    )
  ).map(({ text }) => text);

/** Files with all that can happen: rows of one shipment apart, broken ones, odd characters, contradictions. */
const header =
  'tracking_number,carrier,receiver_address,article_name,article_quantity,article_price,sku,status,status_at,currency';
const oddRows = [
  ...Array.from({ length: 300 }, (_, i) => `TN${i},DHL,"Street ${i}, 75001 Paris, France",Laptop,1,25,L,in_transit,,`),
  '"TN1"" ,DHL,x',
  'TN1,DHL,x,Mouse,0,1,M,,,',
  ',DHL,x,Mouse,1,1,M,,,',
  '1.2E+21,DHL,x,Mouse,1,1,M,,,',
  'TN2,DHL,x,Mouse,1,0.001,M,,,',
  'TN3,DHL,,Mouse,1,1,M,,,USD',
  `${'L'.repeat(5_000)},DHL,x,Mouse,1,1,M,,,`,
  'N\u0000,DHL,x,Mouse,1,1,M,,,',
  'TN4,DHL,"a, ""b""\nc",Mouse,1,1,M,beamed up,,',
  'ONLYBAD,DHL,x,Mouse,-1,1,M,,,',
  '',
  'TN5,ups,x,,,,,delivered,2025-06-01T00:00:00Z,',
  'TN5,UPS,y,,,,,in_transit,2025-06-02T00:00:00Z,',
  ...Array.from({ length: 300 }, (_, i) => `tn-${(i * 7) % 300},dhl,,Cable ${i % 3},2,0.5,,,,`),
];
const oddCsv = [header, ...oddRows].join('\n');
const ndjson = [
  ...Array.from({ length: 200 }, (_, i) =>
    JSON.stringify({
      tracking_number: `J${i % 120}`,
      carrier: 'GLS',
      article_name: `N${i}`,
      article_quantity: 1,
      extra: 1,
    }),
  ),
  '{',
  '',
  JSON.stringify({ tracking_number: 'J1', carrier: 'GLS', status: 'warped' }),
  JSON.stringify({ carrier: 'GLS' }),
].join('\n');

const lineTexts = (lines: readonly RejectedLine[]) => lines.map((line) => JSON.stringify(line)).sort();

interface Whole {
  readonly summary: ShipmentImportSummary;
  readonly lines: readonly string[];
  readonly shipments: readonly string[];
}

async function importedAtOnce(file: string): Promise<Whole> {
  const input = await openInputFile(file, process.stdin);
  const lines: RejectedLine[] = [];
  const summary = await shipments.imports.importShipments({
    ...{ chunks: input.chunks, format: input.format, dryRun: false },
    signal: new AbortController().signal,
    onProgress() {},
    onRejected: (line) => void lines.push(line),
  });
  await input.close();
  const result = { summary, lines: lineTexts(lines), shipments: await stored() };
  await empty();
  return result;
}

const fileOf = async (name: string, content: string | Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

/** The same as an import in one go: counts, shipments, each rejected line once and in the order of the file. */
async function expectSame(run: JobRun, whole: Whole): Promise<void> {
  expect(run).toMatchObject({ state: 'done', error: null });
  expect(shipmentSummaryOf(run.counts)).toEqual(whole.summary);
  expect(await stored()).toEqual(whole.shipments);
  expect(lineTexts(rejected)).toEqual(whole.lines);
  const lines = rejected.map(({ line }) => line);
  expect(lines).toEqual([...new Set(lines)].sort((a, b) => a - b));
}

test.each([
  ['CSV', 'odd.csv', oddCsv],
  ['packed CSV', 'odd.csv.gz', gzipSync(oddCsv)],
  ['NDJSON', 'odd.ndjson', ndjson],
])('an import of %s, stopped at every turn, gives what one in one go gives', async (_, name, content) => {
  const file = await fileOf(name, content);
  const whole = await importedAtOnce(file);
  expect(whole.summary.rowsRejected).toBeGreaterThan(1);
  expect(Object.keys(whole.summary.unknownStatuses)).toHaveLength(1);
  const runId = await start({ file });
  const sizes = [1, 7, 40, 150];
  let turn = 0;
  const { run, stops } = await withStops(
    runId,
    () => engine(sizes[turn++ % sizes.length] ?? 1),
    Number.POSITIVE_INFINITY,
  );
  expect(stops).toBeGreaterThan(6);
  await expectSame(run, whole);
});

test('an import whose connections break as it commits gives what one in one go gives, and tells every change', async () => {
  const file = await fileOf('cut.csv', oddCsv);
  const whole = await importedAtOnce(file);
  await expectSame(
    await withCuts(await start({ file }), url, (client) => engineOf(client, shipmentsOn(client), 20)),
    whole,
  );
  expect(new Set(told.map(keyText)).size).toBe(whole.shipments.length);
});

test('an import with more articles of a shipment than it may have rejects what one in one go rejects', async () => {
  const rows = Array.from({ length: 510 }, (_, i) => `TN${i % 2 === 0 ? 1 : i},DHL,x,Article,1,1,S${i},,,`);
  const more = Array.from({ length: 250 }, (_, i) => `TN1,DHL,x,Article,1,1,M${i},,,`);
  const file = await fileOf('many.csv', [header, ...rows, ...more].join('\n'));
  const whole = await importedAtOnce(file);
  expect(whole.summary).toMatchObject({ rows: 760, rowsRejected: 6 });
  const runId = await start({ file });
  await expectSame(await engine(40).runHere(runId, untouched), whole);
});

test('an import done again changes nothing', async () => {
  const file = await fileOf('again.csv', oddCsv);
  const first = await engine(100).runHere(await start({ file }), untouched);
  const before = await stored();
  told.length = 0;
  const second = await engine(100).runHere(await start({ file }), untouched);
  expect(second.counts).toEqual({
    ...Object.fromEntries(Object.entries(first.counts).filter(([name]) => name !== 'shipments_created')),
    shipments_unchanged: first.counts['shipments_created'],
  });
  expect(await stored()).toEqual(before);
  expect(told).toEqual([]);
});

test('an import with another currency is another run, and rejects what is stored in the first one', async () => {
  const file = await fileOf('currency.csv', `${header}\nTN1,DHL,,Laptop,1,800,L,,,\n`);
  const euro = await engine(10).runHere(await start({ file }), untouched);
  const yen = await engine(10).runHere(await start({ file, currency: 'JPY' }), untouched);
  expect(euro.counts).toMatchObject({ shipments_created: 1 });
  expect(yen.counts).toMatchObject({ rows: 1, rows_rejected: 1 });
  expect(rejected).toMatchObject([{ line: 2, code: 'currency_conflict' }]);
  await expect(start({ file, currency: 'XXX' })).rejects.toThrow(/ISO 4217/);
});

test('an import is rehearsed, and nothing is left of it', async () => {
  const file = await fileOf('try.csv', oddCsv);
  const forecast = await engine(100).rehearse('shipments.import', { file }, { batches: 50, actor: 'test' });
  expect(forecast).toMatchObject({ failedBatches: 0, total: { precision: 'estimate' } });
  expect(await stored()).toEqual([]);
  expect(told).toEqual([]);
});

test('a file without the columns is not started', async () => {
  const file = await fileOf('wrong.csv', 'a,b\n1,2\n');
  await expect(start({ file })).rejects.toThrow(/tracking_number/);
});
