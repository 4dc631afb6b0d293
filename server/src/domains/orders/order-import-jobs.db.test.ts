import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import type { RejectedLine } from '../../core/import-line.ts';
import { createImportFiles } from '../../flows/import-files.ts';
import { openInputFile } from '../../flows/input-file.ts';
import type { JobKind, JobRun } from '../../jobs/job.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { untouched } from '../../testing/stopped-runs.ts';
import { createTestJobs, noThrottle } from '../../testing/test-jobs.ts';
import { defaultCurrency, openTestOrderJobs } from '../../testing/test-order-jobs.ts';
import { summaryOf } from './order-import-apply-service.ts';
import { createOrderImportKind } from './order-import-jobs.ts';
import { createOrderImporter } from './order-import-service.ts';
import type { ImportSummary } from './order-import-tally.ts';

const { db, orders, writerOn, engine, start, withStops, withCuts, stored, told, importTables, empty } =
  await openTestOrderJobs();
const folder = await mkdtemp(join(tmpdir(), 'milliard-order-jobs-'));
afterAll(() => rm(folder, { recursive: true }));

/** Files with all that can happen: rows of one order apart, broken ones, keys too long for an index, odd characters. */
const header = 'order_number,customer_id,placed_at,sku,quantity,unit_price,status,status_at';
const at = '2025-06-01T00:00:00Z';
const oddRows = [
  ...Array.from({ length: 300 }, (_, i) => `A${i},C${i % 7},${at},S,1,25,,`),
  '"A1"" ,C1,x', // a stray quote
  `B1,C1,${at},S,1,-25,,`,
  `B2,,${at},S,1,25,,`,
  `${'L'.repeat(5_000)},C1,${at},S,1,25,,`,
  `N\u0000,C1,${at},S,1,2\u00005,,`,
  `\u{1F600}1,\uFB01,${at},S,1,1,,`,
  `\uFB01,\u{1F600},${at},S,1,1,,`,
  `OLD,C1,1999-05-01T00:00:00Z,S,1,25,cancelled,1999-05-02T00:00:00Z`,
  `ANCIENT,C1,1980-05-01T00:00:00Z,S,1,25,,`,
  '',
  `M1,C9,${at},"a, ""b""\nc",2,1.50,complete,2025-06-02T00:00:00Z`,
  ...Array.from({ length: 300 }, (_, i) => `A${(i * 7) % 300},C${((i * 7) % 300) % 7},${at},T${i},2,0.5,,`),
];
const oddCsv = [header, ...oddRows].join('\n');
const ndjson = [
  ...Array.from({ length: 200 }, (_, i) =>
    JSON.stringify({
      order_number: `J${i}`,
      customer_id: `C${i % 3}`,
      placed_at: at,
      items: [{ sku: 'S', quantity: 1, unit_price: i }],
    }),
  ),
  '{',
  '',
  JSON.stringify({
    order_number: 'J1',
    customer_id: 'C1',
    placed_at: at,
    items: [{ sku: 'other', quantity: 1, unit_price: 1 }],
  }),
  JSON.stringify({ customer_id: 'C1', items: [] }),
].join('\n');

const lineTexts = (lines: readonly RejectedLine[]) =>
  lines.map((line) => JSON.stringify(line)).sort((a, b) => (a < b ? -1 : 1));

async function imported(file: string): Promise<{ summary: ImportSummary; lines: string[]; orders: string[] }> {
  const input = await openInputFile(file, process.stdin);
  const lines: RejectedLine[] = [];
  const importer = createOrderImporter({ db, writer: orders.writer, defaultCurrency });
  const summary = await importer.importOrders({
    ...{ chunks: input.chunks, format: input.format, preset: 'default', dryRun: false },
    signal: new AbortController().signal,
    onProgress() {},
    onRejected: (line) => void lines.push(line),
  });
  await input.close();
  const result = { summary, lines: lineTexts(lines), orders: await stored() };
  await empty();
  return result;
}

const fileOf = async (name: string, content: string | Buffer): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

/** The same as an import in one go: counts, orders with their histories, each rejected line once and in the order of the file. */
async function expectSame(run: JobRun, whole: Awaited<ReturnType<typeof imported>>): Promise<void> {
  expect(run).toMatchObject({ state: 'done', error: null });
  expect(summaryOf(run.counts)).toEqual(whole.summary);
  expect(await stored()).toEqual(whole.orders);
  expect(lineTexts(told())).toEqual(whole.lines);
  expect(told().map(({ line }) => line)).toEqual(
    told()
      .map(({ line }) => line)
      .sort((a, b) => a - b),
  );
}

describe('orders.import', () => {
  test.each([
    ['CSV', 'odd.csv', oddCsv],
    ['packed CSV', 'odd.csv.gz', gzipSync(oddCsv)],
    ['NDJSON', 'odd.ndjson', ndjson],
  ])('of %s, stopped at every turn, gives what an import in one go gives', async (_, name, content) => {
    const file = await fileOf(name, content);
    const whole = await imported(file);
    expect(whole.summary.rowsRejected).toBeGreaterThan(2);
    const runId = await start('orders.import', { file });
    const sizes = [1, 7, 40, 150];
    let turn = 0;
    const { run, stops } = await withStops(runId, () => sizes[turn++ % sizes.length] ?? 1);
    expect(stops).toBeGreaterThan(6);
    await expectSame(run, whole);
    expect(run.result).toMatchObject({ file, first_rejected: { length: Math.min(10, whole.lines.length) } });
  });

  test('whose connections break as it commits gives what an import in one go gives', async () => {
    const file = await fileOf('cut.csv', oddCsv);
    const whole = await imported(file);
    await expectSame(await withCuts(await start('orders.import', { file }), 20), whole);
  });

  test('done again changes nothing', async () => {
    const file = await fileOf('again.csv', oddCsv);
    const first = await engine(100).runHere(await start('orders.import', { file }), untouched);
    const before = await stored();
    const second = await engine(100).runHere(await start('orders.import', { file }), untouched);
    expect(second.runId).not.toBe(first.runId);
    expect(second.counts).toMatchObject({
      ...first.counts,
      orders_created: 0,
      orders_replayed: first.counts['orders_created'],
    });
    expect(await stored()).toEqual(before);
  });

  test('does not go on with a file that was changed, and can be cancelled though its file is gone', async () => {
    const file = await fileOf('changed.csv', oddCsv);
    const { sha256 } = await createImportFiles().inspect(file);
    const runId = await start('orders.import', { file, sha256 });
    const stop = new AbortController();
    const jobs = engine(10);
    await jobs.runHere(runId, { signal: stop.signal, whenStopped: 'pause', onProgress: () => stop.abort() });
    await writeFile(file, oddCsv.replace('A5,', 'X5,'));
    await jobs.resume(runId, 'test');
    const failed = await engine(10).runHere(runId, untouched);
    expect(failed).toMatchObject({ state: 'failed', error: expect.stringContaining('has changed since') });
    await rm(file);
    expect(await importTables()).toHaveLength(2);
    expect(await engine(10).cancel(runId, 'test')).toMatchObject({ state: 'cancelled', error: null });
  });

  test('of a file that is not there, or has not the columns, is not started', async () => {
    await expect(start('orders.import', { file: join(folder, 'none.csv') })).rejects.toThrow(/There is no file/);
    const file = await fileOf('wrong.csv', 'a,b\n1,2\n');
    await expect(start('orders.import', { file })).rejects.toThrow(/order_number or order_id/);
  });

  test.each([
    ['CSV', 'try.csv', oddCsv],
    ['NDJSON', 'try.ndjson', ndjson],
  ])('is rehearsed with %s, and nothing is left of it', async (_, name, content) => {
    const file = await fileOf(name, content);
    const forecast = await engine(100).rehearse('orders.import', { file }, { batches: 50, actor: 'test' });
    expect(forecast).toMatchObject({ failedBatches: 0, total: { precision: 'estimate' } });
    expect(forecast.sampledRows).toBeGreaterThan(200);
    expect(await stored()).toEqual([]);
  });

  test('of the whole of Online Retail, stopped and gone on with, gives exactly its orders', {
    timeout: 120_000,
  }, async ({ skip }) => {
    const file = process.env['MILLIARD_TEST_ONLINE_RETAIL'];
    if (file === undefined) return skip('name online_retail_2010-12_2011-05.csv.gz in MILLIARD_TEST_ONLINE_RETAIL');
    const parameters = { file, preset: 'online-retail' };
    const counts = { rows: 209_029, rows_rejected: 652, orders_rejected: 0, items: 208_377, statuses_added: 0 };
    const whole = { orders: 10_132, cancelled: 1_677, total: 442_262_554 };
    const inDatabase = async () =>
      (
        await db.query(
          dynamic(sql`select count(*)::int as orders, sum(total_minor)::int as total,
                             (count(*) filter (where status = 'cancelled'))::int as cancelled from orders`),
        )
      )[0];
    const { run, stops } = await withStops(await start('orders.import', parameters), () => 5_000, 12);
    expect(stops).toBe(12);
    expect(run.counts).toEqual({ ...counts, orders_created: 10_132, orders_replayed: 0 });
    expect(await inDatabase()).toEqual(whole);
    const again = await engine(20_000).runHere(await start('orders.import', parameters), untouched);
    expect(again.counts).toEqual({ ...counts, orders_created: 0, orders_replayed: 10_132 });
    expect(await inDatabase()).toEqual(whole);
  });

  test('puts a large order that is larger than a batch together', async () => {
    const rows = Array.from({ length: 900 }, (_, i) => `BIG,C1,${at},S${i},1,1,,\nO${i},C2,${at},S,1,1,,`);
    const file = await fileOf('big.csv', [header, ...rows].join('\n'));
    const { run } = await withStops(await start('orders.import', { file }), () => 50, 3);
    expect(run).toMatchObject({
      state: 'done',
      doneRows: 3_600,
      counts: { orders_created: 901, items: 1_800, rows: 1_800 },
    });
  });
});

test('the file of rejected lines of a run stands complete at its end', async () => {
  const file = await fileOf('plain.csv', oddCsv);
  const errors = join(folder, 'rejected.csv');
  const kind = createOrderImportKind({ writer: writerOn(db), defaultCurrency, files: createImportFiles() });
  const jobs = createTestJobs(db, { kinds: [kind as unknown as JobKind] });
  const { run } = await jobs.start('orders.import', { file, errors }, { actor: 'test', throttle: noThrottle });
  const { counts } = await jobs.runHere(run.runId, untouched);
  expect((await stat(errors)).size).toBeGreaterThan(0);
  const again = await imported(errors);
  expect(again.summary.rows).toBe(counts['rows_rejected']);
});
