import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createCsvReader } from '../core/csv-reader.ts';
import type { Database } from '../storage/database.ts';
import { acquireEmbedded, type EmbeddedServer } from '../storage/embedded/embedded-postgres.ts';
import { migrate } from '../storage/migrator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { untilBatchIsOpen } from '../testing/open-batches.ts';
import { createTestClient } from '../testing/open-database.ts';
import { clearShipments, shipmentInconsistencies } from '../testing/test-shipments.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const shipmentCount = full ? 30_000 : 3_000;
const kills = full ? 30 : 4;
/** Slow enough that a run outlives all its faults. */
const rowsPerSecond = 5_000;

let dataDir: string;
let embedded: EmbeddedServer;
let db: Database;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'milliard-shipments-'));
  embedded = await acquireEmbedded({ dataDir, purpose: 'shipments import test' });
  await migrate({ url: embedded.url });
  db = createTestClient(embedded.url);
});
afterAll(async () => {
  await db.close();
  await embedded.release();
  await rm(dataDir, { recursive: true, force: true });
});
beforeEach(() => clearShipments(db));

const seed = fileURLToPath(new URL('../testing/shipment-seeds/original.csv', import.meta.url));

async function run(input: string | undefined, ...args: readonly string[]) {
  const { code, stdout, stderr } = await runMilliard({
    args: ['shipments', 'import', ...args],
    env: { DATABASE_URL: embedded.url },
    ...(input === undefined ? {} : { input }),
  });
  const records = stdout
    .trim()
    .split('\n')
    .map((line) => (line.startsWith('{') ? JSON.parse(line) : null));
  return { code, stdout, stderr, records, last: records.at(-1) };
}

const none = {
  rows: 0,
  rows_rejected: 0,
  shipments_created: 0,
  shipments_updated: 0,
  shipments_unchanged: 0,
  articles: 0,
};
const five = { ...none, rows: 9, shipments_created: 5, articles: 9 };
const again = { ...none, rows: 9, shipments_unchanged: 5, articles: 9 };

test("the brief's file: 5 shipments, and again nothing; packed, from a pipe and as a dry run alike", async () => {
  expect(await run(undefined, seed, '--dry-run', '--json')).toMatchObject({ code: 0, last: five });
  expect(await run(undefined, seed, '--json')).toMatchObject({ code: 0, last: five });
  expect(await run(undefined, seed, '--json')).toMatchObject({ code: 0, last: again });
  expect(await run(await readFile(seed, 'utf8'), '-', '--json')).toMatchObject({ code: 0, last: again });
  const packed = join(dataDir, 'seed.dat');
  await writeFile(packed, gzipSync(await readFile(seed)));
  expect(await run(undefined, packed, '--json')).toMatchObject({ code: 0, last: again });
  expect((await run(undefined, seed)).stdout).toContain(
    '9 rows: 0 shipments created, 0 updated, 5 unchanged; 9 articles.',
  );
});

test('bad rows come out as a file that is mended and imported as it stands; words nobody understands are told', async () => {
  const [input, errors] = [join(dataDir, 'in.csv'), join(dataDir, 'errors.csv')];
  const rows = [
    'Nr,carrier,article_name,article_quantity,article_price,Remark,status',
    'TN1,DHL,Laptop,1,800,x,in_transit',
    'TN1,DHL,Mouse,0,25,"y, z",in_transit',
    '1.2E+21,DHL,Mouse,1,25,,',
    'TN2,DHL,Yen,1,1.5,,beamed up',
  ];
  await writeFile(input, rows.join('\n'));
  const map = ['--map', 'tracking_number=Nr'];
  const first = await run(undefined, input, ...map, '--errors', errors, '--json');
  expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining('Columns that are not used: Remark') });
  expect(first.last).toEqual({ ...none, rows: 4, rows_rejected: 2, shipments_created: 2, articles: 2 });
  expect(first.records.at(-2)).toEqual({ unknown_statuses: { 'beamed up': 1 } });
  expect(first.records).toContainEqual({ line: 3, error: 'quantity_zero', detail: expect.any(String) });
  expect((await run(undefined, input, ...map, '--strict')).code).toBe(3);

  const rejected = await readFile(errors, 'utf8');
  expect(rejected).toMatch(/^Nr,.*,status,error,line\r\n[\s\S]*spreadsheet/);
  await writeFile(errors, rejected.replace('Mouse,0,', 'Mouse,2,').replace('1.2E+21', '123456789012345678901'));
  const second = await run(undefined, errors, ...map, '--json');
  expect(second.last).toEqual({ ...none, rows: 2, shipments_created: 1, shipments_updated: 1, articles: 2 });

  const yen = await run(undefined, input, ...map, '--currency', 'jpy', '--json');
  expect(yen.last).toMatchObject({ rows_rejected: 4, shipments_created: 0 });
  expect(yen.code).toBe(1);
});

test('a flag that is wrong is told before anything is done', async () => {
  expect(await run(undefined, seed, '--currency', 'EURO')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('EURO'),
  });
  expect(await run(undefined, seed, '--map', 'article=X')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/a shipment has no field "article".*article_name/),
  });
  expect(await run(undefined, join(dataDir, 'none.csv'))).toMatchObject({ code: 2 });
});

/** Rows of shipments far apart; every hundredth shipment has a row that is no good. */
function csvOf() {
  const rows: string[][] = [[], [], []];
  const expected = { ...none, shipments_created: shipmentCount };
  for (let n = 0; n < shipmentCount; n++) {
    const own = 1 + (n % 3);
    for (let i = 0; i < own; i++) {
      const isBad = i > 0 && n % 100 === 50;
      rows[i]?.push(
        `TN${n},${n % 2 === 0 ? 'DHL' : 'UPS'},"Street ${n}, 75001 Paris, France",A${i},${isBad ? 0 : 1},${i}.5,S${i},in_transit`,
      );
      expected.rows++;
      expected[isBad ? 'rows_rejected' : 'articles']++;
    }
  }
  const header = 'tracking_number,carrier,receiver_address,article_name,article_quantity,article_price,sku,status';
  return { text: [header, ...rows.flat()].join('\n'), expected };
}

/** What was stored, but for instants and ids. */
const stored = async (): Promise<string[]> =>
  (
    await db.query(
      dynamic<{ text: string }>(sql`
        select concat_ws(' ', carrier, tracking_number, receiver_city, status, last_seq, version, imported_status,
                 (select string_agg(concat_ws('/', position, sku, quantity, unit_price_minor), ',' order by position) from shipment_articles a
                   where (a.tracking_key, a.carrier_key, a.bucket) = (s.tracking_key, s.carrier_key, s.bucket))) as text
          from shipments s order by 1`),
    )
  ).map(({ text }) => text);

const batches = async (): Promise<number> => {
  const [row] = await db.query(
    dynamic<{ batches: number }>(sql`select coalesce(sum(batches), 0)::int as batches
      from milliard_jobs.job_ranges join milliard_jobs.job_runs using (run_id) where state <> 'done'`),
  );
  return row?.batches ?? 0;
};

test('an import killed with -9 again and again goes on by the same command, and ends as one that nobody killed', async () => {
  const { text, expected } = csvOf();
  const [file, errors] = [join(dataDir, 'many.csv'), join(dataDir, 'many-errors.csv')];
  await writeFile(file, text);
  expect((await run(undefined, file, '--json')).last).toEqual(expected);
  const whole = await stored();
  await clearShipments(db);

  const args = ['shipments', 'import', file, '--errors', errors];
  for (let killed = 0; killed < kills; killed++) {
    const before = await batches();
    const child = spawnMilliard({
      args: [...args, '--rate', String(rowsPerSecond)],
      env: { DATABASE_URL: embedded.url },
    });
    try {
      // At least one batch more than before: the work goes on between the faults.
      while (child.isRunning() && (await batches()) <= before) await delay(2);
      await untilBatchIsOpen(db, () => !child.isRunning(), 'copy ');
      if (!child.isRunning()) throw new Error(`the import ended by itself:\n${child.output()}`);
    } finally {
      if (child.isRunning()) process.kill(child.pid, 'SIGKILL');
      await child.ended;
    }
    expect(await shipmentInconsistencies(db)).toEqual([]);
  }
  const last = await run(undefined, file, '--errors', errors, '--rate', '1000000', '--json');
  expect({ code: last.code, last: last.last }).toEqual({ code: 0, last: expected });
  expect(await stored()).toEqual(whole);
  expect(await shipmentInconsistencies(db)).toEqual([]);

  const reader = createCsvReader();
  const [, ...rejected] = [...reader.push(await readFile(errors, 'utf8')), ...reader.end()];
  const lines = rejected.map(({ cells }) => Number(cells.at(-1)));
  expect(lines).toEqual([...new Set(lines)].sort((a, b) => a - b));
  expect(lines).toHaveLength(expected.rows_rejected);
  expect(await db.query(dynamic(sql`select relname from pg_class where relname like 'shipment_import_%'`))).toEqual([]);
});
