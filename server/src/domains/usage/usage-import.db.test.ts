import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { RejectedLine } from '../../core/import-line.ts';
import { findUsedSubscription, loadSampleUsage } from '../../flows/load-sample-usage.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openUsageWorld, usageDifferences, usageNow } from '../../testing/test-usage-world.ts';
import { importUsageFile } from './usage-import-file-service.ts';

const { db, usage, run, sums } = await openUsageWorld();
const folder = await mkdtemp(join(tmpdir(), 'milliard-usage-'));
afterAll(() => rm(folder, { recursive: true }));

beforeEach(async () => {
  await db.query({
    text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments',
    values: [],
  });
});

const csv = (rows: number, first = 1): string =>
  Array.from(
    { length: rows },
    (_, i) => `r${first + i},S${i % 9},${i % 2 ? 'data' : 'voice'},2026-11-1${i % 8}T10:00:00Z,${i},0.0${i % 10}\n`,
  ).join('');
const header = 'record_id,subscription_id,usage_type,used_at,used,price\n';

const stored = async () => {
  await usage.rollup.once();
  expect(await usageDifferences(db)).toEqual([]);
  return sums();
};

async function put(name: string, content: string | Buffer): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
}

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function direct(
  chunks: AsyncIterable<Uint8Array>,
  more: { format?: 'csv' | 'ndjson'; dryRun?: boolean; map?: ReadonlyMap<string, string> } = {},
) {
  const rejected: RejectedLine[] = [];
  const counts = await importUsageFile(
    { db, writer: usage.writer },
    {
      ...{ chunks, format: 'csv', dryRun: false, map: new Map(), signal: new AbortController().signal, ...more },
      onProgress() {},
      onHeader() {},
      onRejected: (line) => void rejected.push(line),
    },
  );
  return { counts, rejected };
}

describe('the import of a file', () => {
  test('packed, as a job and at once: the same sums; again it changes nothing', async () => {
    const text = header + csv(5_000);
    const file = await put('usage.csv.gz', gzipSync(text));
    expect((await run('usage.import', { file })).counts).toMatchObject({ rows: 5_000, records_created: 5_000 });
    const once = await stored();
    expect((await run('usage.import', { file })).counts).toMatchObject({ records_created: 0, records_replayed: 5_000 });
    expect((await direct(pieces(text, 1_000))).counts).toMatchObject({ records_created: 0, records_replayed: 5_000 });
    expect(await stored()).toEqual(once);
    await db.query({ text: 'truncate usage_records, usage_batches, usage_daily, usage_totals', values: [] });
    expect((await direct(pieces(text, 77))).counts).toMatchObject({ rows: 5_000, records_created: 5_000 });
    expect(await stored()).toEqual(once);
  });

  test('cut at any byte and sent again equals one sent once', async () => {
    const text = header + csv(60);
    await direct(pieces(text, 1_000));
    const once = await stored();
    for (let cut = header.length; cut < text.length; cut += 97) {
      await db.query({ text: 'truncate usage_records, usage_batches, usage_daily, usage_totals', values: [] });
      // What came of it is stored, the line that it ends in as far as it is one.
      await direct(pieces(text.slice(0, text.lastIndexOf('\n', cut) + 1), 50));
      const { counts } = await direct(pieces(text, 50));
      expect((counts['records_created'] ?? 0) + (counts['records_replayed'] ?? 0)).toBe(60);
      expect(await stored()).toEqual(once);
    }
  });

  test('tells every rejected row with its line, also of thousands, and stores the others', async () => {
    const bad = csv(3_000, 10_000).replaceAll(',voice,', ',sms,');
    const file = await put('bad.csv', header + bad);
    const { counts, result } = await run('usage.import', { file });
    expect(counts).toMatchObject({ rows: 3_000, rows_rejected: 1_500, records_created: 1_500 });
    const { first_rejected: first } = result as { first_rejected: readonly object[] };
    expect(first.slice(0, 2)).toMatchObject([{ line: 2, error: 'unknown_usage_type' }, { line: 4 }]);
    const { rejected } = await direct(pieces(header + bad, 999));
    expect(rejected.map(({ line }) => line)).toEqual(Array.from({ length: 1_500 }, (_, i) => 2 + 2 * i));
  });

  test('reads NDJSON, other names of columns, line breaks and quotes in cells', async () => {
    const line = (id: string, more: object = {}) =>
      `${JSON.stringify({ record_id: id, subscription_id: 'N', usage_type: 'data', used_at: '2026-11-20T00:00:00Z', used: 1, price: '1', ...more })}\n`;
    const ndjson = await direct(
      pieces(`${line('1')}\n{"bad"\n${line('2', { error: 'x', line: 4 })}${line('3', { price: 1 })}`, 10),
      {
        format: 'ndjson',
      },
    );
    expect(ndjson.counts).toMatchObject({ rows: 4, records_created: 2 });
    expect(ndjson.rejected.map(({ line: at, code }) => [at, code])).toEqual([
      [3, 'malformed_json'],
      [5, 'invalid_input'],
    ]);
    const mapped = await direct(
      pieces(
        'Amount,record_id,Abo,usage_type,used_at,used,remark\n2,x,"a ""b""",data,2026-11-20T00:00:00Z,1,z\n2,x,"a\nb",data,2026-11-20T00:00:00Z,1,z\n2,x\n',
        9,
      ),
      {
        map: new Map([
          ['price', 'Amount'],
          ['subscription_id', 'Abo'],
        ]),
      },
    );
    expect(mapped.counts).toMatchObject({ rows: 3, records_created: 1, rows_rejected: 2 });
    expect(mapped.rejected.map(({ line: at }) => at)).toEqual([3, 5]);
    expect(await stored()).toEqual([
      'N data 11-20: 2 records, 2 used, 2',
      'N data: 2 records, 2 used, 2',
      'a "b" data 11-20: 1 records, 1 used, 2',
      'a "b" data: 1 records, 1 used, 2',
    ]);
  });

  test('a dry run judges and stores nothing', async () => {
    const { counts } = await direct(pieces(`${header}${csv(100)}bad,row\n`, 100), { dryRun: true });
    expect(counts).toMatchObject({ rows: 101, records_created: 100, rows_rejected: 1 });
    expect(await stored()).toEqual([]);
  });
});

describe('made-up usage', () => {
  const parameters = { count: 3_000, subscriptions: 20, days: 9, to: '2026-11-10', seed: 7 };

  test('is the same for the same seed, opens the days it needs, and is summed up', async () => {
    const first = await run('usage.generate', parameters);
    expect(first.counts).toMatchObject({ records_created: 3_000, records_rejected: 0 });
    expect(first.result).toMatchObject({ seed: 7, from: '2026-11-02', to: '2026-11-10' });
    const once = await sums();
    expect((await run('usage.generate', parameters)).counts).toMatchObject({ records_replayed: 3_000 });
    expect(await stored()).toEqual(once);
    expect((await run('usage.generate', { ...parameters, count: 4_000 })).counts).toMatchObject({
      records_created: 1_000,
      records_replayed: 3_000,
    });
    expect((await run('usage.verify', {})).counts).toMatchObject({ differences: 0, raw_rows: 4_000 });
  });

  test('as a sample is made once, by two at once too, and not where there is usage', async () => {
    const reported: string[] = [];
    const load = () =>
      loadSampleUsage({ usage, clock: { now: () => usageNow } }, { report: (text) => void reported.push(text) });
    await Promise.all([load(), load()]);
    expect(reported).toEqual(['loaded 5,000 sample records of usage of 100 subscriptions']);
    await load();
    expect(reported).toHaveLength(1);
    expect(await findUsedSubscription(usage)).toBe('SUB001');
    const [stored] = await db.query(dynamic<{ n: bigint }>(sql`select sum(records)::bigint as n from usage_totals`));
    expect(stored?.n).toBe(5_000n);
  });
});
