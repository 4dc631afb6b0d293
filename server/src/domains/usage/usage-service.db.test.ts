import { Readable } from 'node:stream';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { type Day, dayOf, formatDay } from '../../core/days.ts';
import { silentLogger } from '../../core/ports.ts';
import { formatInstant, type Instant, minuteMs } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openCommitCutter } from '../../testing/commit-cutter.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { createTestClient, openTestDatabase } from '../../testing/open-database.ts';
import { openUsage, type Usage } from './usage-service.ts';

const { db, url } = await openTestDatabase({ poolSize: 10 });
const now = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
const today = dayOf(now);
const open = (on: Database): Promise<Usage> =>
  openUsage({
    db: on,
    clock: { now: () => now },
    logger: silentLogger,
    rawDays: 14,
    rollupPauseMs: 100,
    groupCommit: true,
  });
const usage = await open(db);
afterAll(() => usage.drain());

beforeEach(async () => {
  await db.query({
    text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments',
    values: [],
  });
});

interface Fields {
  record_id: string;
  subscription_id: string;
  usage_type: string;
  used_at: string;
  used: number | string;
  price: string;
}

const record = (more: Partial<Fields> = {}): Fields => ({
  record_id: 'r1',
  subscription_id: 'SUB1',
  usage_type: 'data',
  used_at: '2026-11-20T10:00:00Z',
  used: 100,
  price: '1.25',
  ...more,
});

const ndjson = (rows: readonly Fields[]): Buffer => Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

/** Sends bytes, cut into chunks of `size`. */
async function send(
  bytes: Buffer,
  more: { producerKey?: string; size?: number; partLines?: number; format?: 'ndjson' | 'csv'; via?: Usage } = {},
) {
  const { size = 1_000, via = usage, producerKey = null, format = 'ndjson', partLines } = more;
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
  const outcomes = [];
  for await (const outcome of via.importBytes(Readable.from(chunks), {
    format,
    actor: 'test',
    producerKey,
    ...(partLines === undefined ? {} : { partLines }),
  }))
    outcomes.push(outcome);
  return outcomes;
}

const single = (documents: readonly unknown[], producerKey: string | null = null, hash = 'x') =>
  usage.ingest({ documents, actor: 'test', producerKey, contentHash: producerKey === null ? null : Buffer.from(hash) });

interface Sum {
  readonly key: string;
  readonly records: bigint;
  readonly used: string;
  readonly price: string;
}

const daily = () =>
  db.query(
    dynamic<Sum>(sql`select subscription_id || ' ' || usage_type || ' ' || to_char(day, 'MM-DD') as key, records,
      total_used::text as used, total_price::text as price from usage_daily order by 1`),
  );

/** Sums that differ from what the raw rows of rolled-up batches and the adjustments say. */
const differences = async (): Promise<readonly unknown[]> =>
  db.query(
    dynamic(sql`
      with truth as (
        select subscription_id, usage_type, day, bucket, count(*) as n, sum(used) as u, sum(price) as p from usage_records
         where batch_id in (select batch_id from usage_batches where rolled_up_at is not null) group by 1, 2, 3, 4)
      select 'day' as what, subscription_id from truth t full join usage_daily d using (subscription_id, usage_type, day, bucket)
       where (n, u, p) is distinct from (records, total_used, total_price)
      union all
      select 'total', subscription_id from (select subscription_id, usage_type, bucket, sum(n) as n, sum(u) as u, sum(p) as p from truth group by 1, 2, 3) t
        full join usage_totals d using (subscription_id, usage_type, bucket)
       where (n, u, p, usage_price_level(p)) is distinct from (records, total_used, total_price, price_level)`),
  );

describe('bulk', () => {
  test('stores records and rolls them up exactly', async () => {
    const [outcome] = await send(
      ndjson([
        record({ price: '0.10' }),
        record({ record_id: 'r2', price: '0.20' }),
        record({ record_id: 'r3', usage_type: 'voice', used: '9223372036854775807', price: '0' }),
        record({ record_id: 'r4', usage_type: 'voice', used: '9223372036854775807', price: '999999999999.999999' }),
      ]),
    );
    expect(outcome).toMatchObject({ accepted: 4, duplicates: 0, rejectedRows: 0, replayed: false, part: 1, lines: 4 });
    expect(await daily()).toEqual([]);
    expect(await usage.rollup.once()).toMatchObject({ batches: 1, rows: 4 });
    expect(await daily()).toEqual([
      { key: 'SUB1 data 11-20', records: 2n, used: '200', price: '0.30' },
      { key: 'SUB1 voice 11-20', records: 2n, used: '18446744073709551614', price: '999999999999.999999' },
    ]);
    expect(await differences()).toEqual([]);
  });

  test('of records with the same identity the first one wins, in one part, over parts and over uploads', async () => {
    const rows = [record({ price: '1' }), record({ price: '2' }), record({ record_id: 'r2' }), record({ price: '3' })];
    const outcomes = await send(ndjson(rows), { partLines: 2 });
    expect(outcomes.map(({ accepted, duplicates }) => [accepted, duplicates])).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect((await send(ndjson(rows)))[0]).toMatchObject({ accepted: 0, duplicates: 4 });
    await usage.rollup.once();
    expect(await daily()).toEqual([{ key: 'SUB1 data 11-20', records: 2n, used: '200', price: '2.25' }]);
    expect(await differences()).toEqual([]);
  });

  test('a day later the same record_id is another record', async () => {
    const [outcome] = await send(ndjson([record(), record({ used_at: '2026-11-21T00:00:00Z' })]));
    expect(outcome).toMatchObject({ accepted: 2, duplicates: 0 });
  });

  test('refuses what it may not take, line by line, and stores the rest', async () => {
    const lines = [
      JSON.stringify(record()),
      '{"broken"',
      '',
      JSON.stringify(record({ record_id: 'future', used_at: formatInstant((now + 5 * minuteMs + 1) as Instant) })),
      JSON.stringify(record({ record_id: 'edge', used_at: formatInstant((now + 5 * minuteMs) as Instant) })),
      JSON.stringify(record({ record_id: 'old', used_at: '2026-11-06T23:59:59.999Z' })),
      JSON.stringify(record({ record_id: 'oldest', used_at: '2026-11-07T00:00:00Z' })),
      JSON.stringify(record({ usage_type: 'sms' })),
      JSON.stringify(record({ used: -1 })),
    ];
    const [outcome] = await send(Buffer.from(lines.join('\r\n')));
    expect(outcome?.rejected.map(({ line, code }) => [line, code])).toEqual([
      [2, 'malformed_json'],
      [4, 'in_future'],
      [6, 'too_old'],
      [8, 'unknown_usage_type'],
      [9, 'invalid_input'],
    ]);
    expect(outcome).toMatchObject({ accepted: 3, rejectedRows: 5, lines: 9 });
  });

  test('an upload cut anywhere and sent again under its key equals one sent once', async () => {
    const rows = Array.from({ length: 25 }, (_, i) => record({ record_id: `r${i}`, price: `${i}.01` }));
    const bytes = ndjson(rows);
    for (const cut of [0, 1, 700, 1_400, bytes.length - 1]) {
      const producerKey = `cut-${cut}`;
      // A sender that dies: whole parts are stored, the part under way is not.
      const source = Readable.from(
        (async function* () {
          yield bytes.subarray(0, cut);
          throw new Error('cut');
        })(),
      );
      const dying = async () => {
        for await (const _ of usage.importBytes(source, {
          format: 'ndjson',
          actor: 'test',
          producerKey,
          partLines: 10,
        }));
      };
      await expect(dying()).rejects.toThrow('cut');
      const outcomes = await send(bytes, { producerKey, partLines: 10, size: 333 });
      expect(outcomes).toHaveLength(3);
    }
    const again = await send(bytes, { producerKey: 'cut-700', partLines: 10, size: 7 });
    expect(again.map(({ replayed }) => replayed)).toEqual([true, true, true]);
    await usage.rollup.once();
    expect(await daily()).toEqual([{ key: 'SUB1 data 11-20', records: 25n, used: '2500', price: '300.25' }]);
    expect(await differences()).toEqual([]);
  });

  test('a key with other content is refused and stores nothing', async () => {
    await send(ndjson([record()]), { producerKey: 'k' });
    await expect(send(ndjson([record({ record_id: 'r2' })]), { producerKey: 'k' })).rejects.toMatchObject({
      code: 'batch_key_reused',
    });
    expect(await usage.rollup.once()).toMatchObject({ batches: 1, rows: 1 });
  });

  test('reads CSV with columns in any order and quotes', async () => {
    const csv =
      '\uFEFFprice,used,used_at,usage_type,subscription_id,record_id\r\n' +
      '1.5,7,2026-11-20T23:59:59.999999-01:00,voice,S,r1\r\n"0.5","3","2026-11-20T00:00:00Z",data,"S, ""x""",r2\nbad\n';
    const [outcome] = await send(Buffer.from(csv), { format: 'csv', size: 5 });
    expect(outcome).toMatchObject({ accepted: 2, lines: 4, firstLine: 1 });
    expect(outcome?.rejected).toMatchObject([{ line: 4, code: 'malformed_row' }]);
    await usage.rollup.once();
    expect(await daily()).toEqual([
      { key: 'S voice 11-21', records: 1n, used: '7', price: '1.5' },
      { key: 'S, "x" data 11-20', records: 1n, used: '3', price: '0.5' },
    ]);
    await expect(send(Buffer.from('price,used\n1,2\n'), { format: 'csv' })).rejects.toMatchObject({
      code: 'invalid_input',
    });
  });

  test('stores the same through the fast way and the careful one', async () => {
    const odd = ['S\u00e9', 'S"quote', 'S\\back', 'S\tt', '日本', 'x'.repeat(200)];
    const prices = [
      '0',
      '0.000001',
      '0.01',
      '1',
      '9999.9999',
      '10000',
      '123456789012.5',
      '100000000',
      '10000.0001',
      '00012.50',
    ];
    const rows = odd.flatMap((subscription_id, i) =>
      prices.map((price, j) =>
        record({ subscription_id, record_id: `${i}-${j}`, price, used: j === 0 ? '123' : 2 ** (5 * j) }),
      ),
    );
    await send(ndjson(rows));
    const careful = rows.map((row) => ({ ...row, record_id: `${row.record_id}-c`, used: String(row.used) }));
    await send(ndjson(careful));
    const stored = await db.query(
      dynamic<{
        a: boolean;
      }>(sql`select (a.used, a.used_at, a.day, a.bucket, a.usage_type, a.price::text) = (b.used, b.used_at, b.day, b.bucket, b.usage_type, b.price::text)
        and a.bucket = bucket_of(a.subscription_id) as a
        from usage_records a join usage_records b on b.bucket = a.bucket and b.subscription_id = a.subscription_id and b.record_id = a.record_id || '-c'`),
    );
    expect(stored).toHaveLength(rows.length);
    expect(stored.every(({ a }) => a)).toBe(true);
    const priceTexts = await db.query(
      dynamic<{ p: string }>(sql`select distinct price::text as p from usage_records order by 1`),
    );
    expect(priceTexts.map(({ p }) => p)).toEqual([...prices.slice(0, -1), '12.50'].sort());
  });
});

describe('single records', () => {
  test('are stored together, each request with its own answer', async () => {
    const [a, b, c] = await Promise.all([
      single([record(), record({ record_id: 'r2' }), { bad: true }]),
      single([record()]),
      single([record({ record_id: 'r3' })], 'key-1'),
    ]);
    expect(a).toMatchObject({ accepted: 2, duplicates: 0, rejectedRows: 1 });
    expect(b).toMatchObject({ accepted: 0, duplicates: 1 });
    expect(c).toMatchObject({ accepted: 1, replayed: false });
    expect(await single([record({ record_id: 'r3' })], 'key-1')).toEqual({ ...c, replayed: true });
    await expect(single([record({ record_id: 'r4' })], 'key-1', 'y')).rejects.toMatchObject({
      code: 'batch_key_reused',
    });
    expect(await usage.rollup.once()).toMatchObject({ rows: 3 });
    expect(await usage.waitForBatch(c.batchId, 0)).toBe(true);
    await expect(usage.waitForBatch(1n as never, 0)).rejects.toMatchObject({ code: 'usage_batch_not_found' });
    expect(await differences()).toEqual([]);
  });

  test('a lost COMMIT is cured, whether or not it was carried out', async () => {
    const cutter = await openCommitCutter(url);
    const through = createTestClient(cutter.url, { poolSize: 1 });
    const other = await open(through);
    try {
      for (const when of ['before', 'after'] as const) {
        cutter.cutNextCommit(when);
        const documents = [record({ record_id: `lost-${when}` }), record({ record_id: `lost-${when}-2` })];
        const outcome = await other.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });
        expect(outcome).toMatchObject({ accepted: 2, duplicates: 0 });
        cutter.cutNextCommit(when);
        const [part] = await send(ndjson([record({ record_id: `bulk-${when}` })]), { via: other });
        expect(part).toMatchObject({ accepted: 1, duplicates: 0, replayed: false });
      }
    } finally {
      await other.drain();
      await through.close();
      await cutter.close();
    }
    await usage.rollup.once();
    expect(await daily()).toMatchObject([{ records: 6n }]);
    expect(await differences()).toEqual([]);
  });
});

describe('the horizon', () => {
  test('moves back for older days and never behind dropped ones', async () => {
    const from = (today - 20) as Day;
    expect(await usage.openDays(from)).toEqual({ rawFrom: from, droppedBefore: null });
    const [outcome] = await send(ndjson([record({ used_at: '2026-11-01T00:00:00Z' })]));
    expect(outcome).toMatchObject({ accepted: 1 });
    await db.query(
      dynamic(
        sql`update usage_horizon set raw_from = ${formatDay((today - 14) as Day)}::date, dropped_before = ${formatDay((today - 14) as Day)}::date`,
      ),
    );
    await expect(usage.openDays(from)).rejects.toMatchObject({ code: 'raw_dropped' });
  });

  test('that was moved meanwhile refuses records when they are written', async () => {
    // The server has not looked since.
    const rows = [record({ record_id: 'h1', used_at: '2026-11-08T00:00:00Z' }), record({ record_id: 'h2' })];
    await db.query(dynamic(sql`update usage_horizon set raw_from = '2026-11-10'`));
    const [part] = await send(ndjson(rows));
    expect(part).toMatchObject({ accepted: 1, rejected: [{ line: 1, code: 'too_old' }] });
    expect(await single(rows)).toMatchObject({ accepted: 0, duplicates: 1, rejected: [{ line: 1, code: 'too_old' }] });
    await db.query(dynamic(sql`update usage_horizon set raw_from = '2026-11-07'`));
  });
});

describe('the rollup', () => {
  test('two at once count every batch once', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => record({ record_id: `t${i}`, subscription_id: `S${i % 3}` }));
    for (const row of rows) await send(ndjson([row]));
    const reports = await Promise.all([usage.rollup.once(), usage.rollup.once()]);
    expect(reports.reduce((sum, { batches }) => sum + batches, 0)).toBe(40);
    expect(await differences()).toEqual([]);
    expect(await usage.rollup.once()).toMatchObject({ batches: 0 });
  });

  test('whose connection is killed leaves everything as it was, and the server goes on', async () => {
    const server = usage.rollup.start();
    try {
      // A reader of one sum makes the rollup wait in the middle of its transaction.
      await send(ndjson([record({ record_id: 'k1' })]));
      await expect.poll(() => usage.lag()).toMatchObject({ openBatches: 0 });
      await db.transaction(async (tx) => {
        await tx.run(
          dynamic(
            sql`select from usage_daily where bucket = bucket_of('SUB1') and subscription_id = 'SUB1' for update`,
          ),
        );
        await send(ndjson([record({ record_id: 'k2' })]));
        // On Citus what waits for the lock is a session of a worker, on behalf of the rollup's.
        const waiting = () =>
          db.query<{ pid: number }>({
            text: onCitus
              ? `select citus_pid_for_gpid(waiting_gpid) as pid from citus_lock_waits where blocked_statement like '%usage_daily%'`
              : `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%usage_daily%'`,
            values: [],
          });
        await expect.poll(waiting, { timeout: 5_000 }).toHaveLength(1);
        const [{ pid } = { pid: 0 }] = await waiting();
        await db.query(dynamic(sql`select pg_terminate_backend(${pid}::int)`));
        expect(await daily()).toMatchObject([{ records: 1n }]);
      });
      await expect.poll(() => usage.lag(), { timeout: 10_000 }).toMatchObject({ openBatches: 0 });
      expect(await daily()).toMatchObject([{ records: 2n }]);
      expect(await differences()).toEqual([]);
    } finally {
      await server.close();
    }
  });

  test('tells how far the sums are', async () => {
    expect(await usage.asOf()).toBe(now);
    await send(ndjson([record()]));
    expect(await usage.lag()).toEqual({ openBatches: 1, openRows: 1n, oldestOpenAt: now });
  });

  test('adjustments count like records, in a batch of their own', async () => {
    await send(ndjson([record({ price: '2' })]));
    await db.query(
      dynamic(sql`insert into usage_batches (batch_id, kind, actor, part, rows, first_day, last_day, created_at)
        values (7, 'adjustments', 'test', 1, 1, '2026-11-20', '2026-11-20', now())`),
    );
    await db.query(
      dynamic(
        sql`insert into usage_adjustments values (7, '2026-11-20', bucket_of('SUB1'), 0, 1, -1, 'data', 'SUB1', 'adjustment', 'a', -100, -2, null, 'test', now())`,
      ),
    );
    await usage.rollup.once();
    expect(await daily()).toEqual([{ key: 'SUB1 data 11-20', records: 0n, used: '0', price: '0' }]);
  });

  test('a million records of 0.01 are 10,000.00', async () => {
    const text = `insert into usage_records select 9, 1, '2026-11-20 10:00Z', '2026-11-20', bucket_of('M'), 'data', 'M', lpad(g::text, 7, '0'), 0.01
      from generate_series(1, 1000000) g`;
    await db.transaction((tx) => tx.run({ text, values: [] }), { statementTimeoutMs: 0 });
    await db.query(
      dynamic(sql`insert into usage_batches (batch_id, kind, actor, part, rows, first_day, last_day, created_at)
        values (9, 'records', 'test', 1, 1000000, '2026-11-20', '2026-11-20', now())`),
    );
    await usage.rollup.once();
    expect(await daily()).toEqual([{ key: 'M data 11-20', records: 1_000_000n, used: '1000000', price: '10000.00' }]);
  }, 120_000);
});

test('eight connections that send the same records in opposite order meet no deadlock', async () => {
  const rows = Array.from({ length: 300 }, (_, i) =>
    record({ record_id: `d${i}`, subscription_id: `S${i % 7}`, used_at: `2026-11-${String(15 + (i % 6))}T10:00:00Z` }),
  );
  const before = await db.query(
    dynamic<{ n: bigint }>(sql`select deadlocks as n from pg_stat_database where datname = current_database()`),
  );
  const senders = Array.from({ length: 8 }, async (_, sender) => {
    const own = sender % 2 === 0 ? rows : [...rows].reverse();
    let accepted = 0;
    for (let round = 0; round < 10; round++) {
      const named = own.map((row) => ({ ...row, record_id: `${row.record_id}-${round}` }));
      const outcomes =
        sender < 6
          ? await send(ndjson(named), { size: 64_000 })
          : [await single(named.slice(0, 100)), await single(named.slice(100))];
      accepted += outcomes.reduce((sum, outcome) => sum + outcome.accepted, 0);
    }
    return accepted;
  });
  const accepted = await Promise.all(senders);
  expect(accepted.reduce((sum, n) => sum + n, 0)).toBe(3_000);
  await usage.rollup.once();
  expect(await differences()).toEqual([]);
  const after = await db.query(
    dynamic<{ n: bigint }>(sql`select deadlocks as n from pg_stat_database where datname = current_database()`),
  );
  expect(after[0]?.n).toBe(before[0]?.n);
}, 60_000);
