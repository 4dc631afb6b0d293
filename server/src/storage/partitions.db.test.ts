import { beforeEach, describe, expect, test } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { newOrderId } from '../core/ids.ts';
import { silentLogger } from '../core/ports.ts';
import { type Instant, type Month, monthName, monthOf, startOfMonth } from '../core/time.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import { startPartitionKeeper } from './partition-keeper.ts';
import { ensureMonths, listMonths, monthlyTables, readyMonths } from './partitions.ts';
import { dynamic, sql } from './sql.ts';

const { db, url } = await openTestDatabase();
const at = (text: string) => Date.parse(text) as Instant;
const month = (text: string) => monthOf(at(`${text}-01T00:00:00Z`));

const partitions = (table: string): Promise<{ name: string; bound: string }[]> =>
  db.query(
    dynamic(sql`select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = ${table}::regclass order by 1`),
  );
beforeEach(async () => {
  for (const table of monthlyTables) {
    for (const { name } of await partitions(table)) await db.query(dynamic(sql`drop table ${sql.table(name)}`));
  }
});

describe('ensureMonths', () => {
  test('makes what is missing in every table, and says what that was', async () => {
    const months = ['2025-05', '2025-06'].map(month);
    expect(await ensureMonths(db, months)).toEqual(months);
    expect(await ensureMonths(db, [month('2025-07'), ...months])).toEqual([month('2025-07')]);
    expect(await ensureMonths(db, months)).toEqual([]);
    expect((await listMonths(db)).map(monthName)).toEqual(['2025_05', '2025_06', '2025_07']);
    for (const table of monthlyTables) {
      expect((await partitions(table)).map(({ name }) => name)).toEqual([
        `${table}_2025_05`,
        `${table}_2025_06`,
        `${table}_2025_07`,
      ]);
    }
  });

  test('makes old months, in any order, with gaps between', async () => {
    await ensureMonths(db, ['2011-05', '1995-01', '2025-12', '2011-05'].map(month));
    expect((await listMonths(db)).map(monthName)).toEqual(['1995_01', '2011_05', '2025_12']);
  });

  test('mends a month that one table lacks', async () => {
    await ensureMonths(db, [month('2025-06')]);
    await db.query(dynamic(sql`drop table order_statuses_2025_06`));
    expect(await listMonths(db)).toEqual([]);
    expect(await ensureMonths(db, [month('2025-06')])).toEqual([month('2025-06')]);
    expect(await listMonths(db)).toEqual([month('2025-06')]);
  });

  test('may be called by several processes at once', async () => {
    const clients = [1, 2, 3].map(() => createTestClient(url));
    const months = readyMonths(at('2025-06-30T00:00:00Z'));
    const made = await Promise.all([
      ...clients.map((client) => ensureMonths(client, months)),
      ensureMonths(db, [...months].reverse()),
    ]);
    expect(made.flat().sort()).toEqual([...months].sort());
    expect(await listMonths(db)).toEqual(months);
    await Promise.all(clients.map((client) => client.close()));
  });

  test('waits for nobody who reads or writes another month', async () => {
    await ensureMonths(db, [month('2025-06')]);
    await db.transaction(async (tx) => {
      await tx.run(insertOrder(at('2025-06-15T00:00:00Z')));
      await ensureMonths(db, [month('2025-07')]);
    });
    expect(await listMonths(db)).toHaveLength(2);
  });
});

const insertOrder = (placedAt: Instant, bucket = 0xfff as Bucket, stored = bucket) =>
  dynamic(sql`insert into orders (order_id, bucket, customer_id, placed_at, currency, total_minor, items, status, status_at, status_seq, last_seq)
    values (${newOrderId(placedAt, bucket)}, ${stored}, 'C', ${new Date(placedAt).toISOString()}, 'EUR', 1, '[]', 'pending', ${new Date(placedAt).toISOString()}, 1, 1)`);

describe('a month', () => {
  test.each(['2024-02', '2025-06', '2025-12', '1995-01'])(
    '%s holds its first and its last millisecond, no more',
    async (text) => {
      const first = startOfMonth(month(text));
      const end = startOfMonth((month(text) + 1) as Month);
      await ensureMonths(db, [month(text)]);
      const partition = `orders_${text.replace('-', '_')}`;
      for (const bucket of [0, 0xfff] as Bucket[]) {
        await db.query(insertOrder(first, bucket));
        await db.query(insertOrder((end - 1) as Instant, bucket));
        for (const outside of [first - 1, end]) {
          await expect(db.query(insertOrder(outside as Instant, bucket))).rejects.toMatchObject({
            fault: { kind: 'data', sqlstate: '23514' },
          });
        }
      }
      expect(await db.query(dynamic(sql`select count(*) as rows from ${sql.table(partition)}`))).toEqual([
        { rows: 4n },
      ]);
    },
  );

  test('has the keys, checks and indexes of its table', async () => {
    await ensureMonths(db, [month('2025-06')]);
    const parts = dynamic<{ table: string; indexes: bigint; checks: bigint }>(sql`
      select c.relname as table, (select count(*) from pg_index where indrelid = c.oid) as indexes,
             (select count(*) from pg_constraint where conrelid = c.oid and contype in ('c', 'p')) as checks
        from pg_class c where c.relname in ('orders', 'orders_2025_06', 'order_statuses', 'order_statuses_2025_06')`);
    const rows = new Map((await db.query(parts)).map(({ table, ...row }) => [table, row]));
    for (const table of monthlyTables) expect(rows.get(`${table}_2025_06`)).toEqual(rows.get(table));
    const wrongBucket = insertOrder(at('2025-06-01T00:00:00Z'), 0 as Bucket, 1 as Bucket);
    await expect(db.query(wrongBucket)).rejects.toMatchObject({ fault: { kind: 'data' } });
  });
});

describe('the partition keeper', () => {
  test('makes the ready months, and later those of a later day', async () => {
    let now = at('2025-06-30T23:59:59.999Z');
    const keeper = await startPartitionKeeper({ db, clock: { now: () => now }, logger: silentLogger, intervalMs: 5 });
    expect(keeper.months()).toEqual(readyMonths(now));
    const before = keeper.months().length;
    now = at('2025-07-01T00:00:00Z');
    while (keeper.months().length === before) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(keeper.months()).toEqual([month('2023-06'), ...readyMonths(now)]);
    keeper.close();
  });
});
