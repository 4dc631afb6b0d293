import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createCsvReader } from '../core/csv-reader.ts';
import type { Currency } from '../core/money.ts';
import { formatInstant, type Instant } from '../core/time.ts';
import { generateOrders } from '../domains/orders/order-generator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { crashDatabase, openDataFolder } from '../testing/data-folder.ts';
import { throughFaults } from '../testing/faults.ts';
import { runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { inconsistencies } from '../testing/test-orders.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const orderCount = full ? 40_000 : 4_000;
const kills = full ? 30 : 4;
const databaseStops = full ? 5 : 1;
/** Slow enough that a run outlives all its faults. */
const rowsPerSecond = full ? { import: 6_000, generate: 1_000 } : { import: 5_000, generate: 800 };

const { folder: dataDir, server: embedded, db } = await openDataFolder('order jobs test');

const batchesOf = async (kind: string): Promise<number> => {
  const [row] = await db.query(
    dynamic<{ batches: number }>(sql`select coalesce(sum(batches), 0)::int as batches
      from milliard_jobs.job_ranges join milliard_jobs.job_runs using (run_id) where kind = ${kind}`),
  );
  return row?.batches ?? 0;
};

/** Kills the command in the middle of its batches and types it again, and stops PostgreSQL under it. @returns the last line of --json */
async function endAfterFaults(kind: 'import' | 'generate', args: readonly string[]): Promise<unknown> {
  const env = { DATABASE_URL: embedded.url };
  const counts = await throughFaults({
    ...{ db, kills, databaseStops, hits: 0, words: 'copy ' },
    begin: () => spawnMilliard({ args: [...args, '--rate', String(rowsPerSecond[kind])], env }),
    batches: () => batchesOf(`orders.${kind}`),
    crashDatabase: () => crashDatabase(dataDir, embedded),
  });
  const last = await runMilliard({ args: [...args, '--rate', '1000000', '--json'], env });
  expect({ code: last.code, stderr: last.stderr }).toMatchObject({ code: 0 });
  expect(counts.kills).toBe(kills);
  return JSON.parse(last.stdout.trim().split('\n').at(-1) ?? '');
}

const count = async (): Promise<number> =>
  Number((await db.query(dynamic<{ count: bigint }>(sql`select count(*) as count from orders`)))[0]?.count);

async function expectProof(orders: number): Promise<void> {
  expect(await count()).toBe(orders);
  expect(await inconsistencies(db)).toEqual([]);
  const verified = await runMilliard({ args: ['verify', 'orders', '--json'], env: { DATABASE_URL: embedded.url } });
  expect(verified.code).toBe(0);
  expect(JSON.parse(verified.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
    orders,
    keys: orders,
    differences: 0,
  });
}

/** The rows of made-up orders, those of one order far apart. Every hundredth order has a row that is no good. */
function csvOf() {
  const orders = [
    ...generateOrders({
      ...{ count: orderCount, customers: 200, zipf: 1, cancelledShare: 0, seed: 11, currency: 'EUR' as Currency },
      from: Date.UTC(2026, 0, 1) as Instant,
      to: Date.UTC(2026, 2, 1) as Instant,
    }),
  ];
  const rows: string[][] = [[], [], [], [], []];
  const expected = { rows: 0, rows_rejected: 0, orders_created: 0, orders_replayed: 0, orders_rejected: 0, items: 0 };
  for (const [n, { orderNumber, customerId, placedAt, items }] of orders.entries()) {
    const isBad = n % 100 === 0;
    expected.rows += items.length;
    expected[isBad ? 'rows_rejected' : 'items'] += items.length;
    expected[isBad ? 'orders_rejected' : 'orders_created']++;
    for (const [i, { sku, quantity, unit_price }] of items.entries()) {
      const price = isBad && i === 0 ? 'free' : (unit_price / 100).toFixed(2);
      rows[i]?.push(
        [orderNumber, customerId, formatInstant(placedAt ?? (0 as Instant)), sku, quantity, price].join(','),
      );
    }
  }
  return { text: ['order_number,customer_id,placed_at,sku,quantity,unit_price', ...rows.flat()].join('\n'), expected };
}

test('an import killed again and again goes on by the same command: the counts of the whole, each rejected row once', async () => {
  const { text, expected } = csvOf();
  const [file, errors] = [join(dataDir, 'orders.csv'), join(dataDir, 'errors.csv')];
  await writeFile(file, text);
  expect(await endAfterFaults('import', ['orders', 'import', file, '--errors', errors])).toEqual(expected);
  await expectProof(expected.orders_created);
  const reader = createCsvReader();
  const [, ...rejected] = [...reader.push(await readFile(errors, 'utf8')), ...reader.end()];
  const lines = rejected.map(({ cells }) => Number(cells.at(-1)));
  expect(lines).toEqual([...new Set(lines)].sort((a, b) => a - b));
  expect(lines).toHaveLength(expected.rows_rejected);
  const left = await db.query(dynamic(sql`select relname from pg_class where relname like 'order_import_%'`));
  expect(left).toEqual([]);
});

test('orders that are made up, by a command killed again and again, are made once each', async () => {
  await db.query(dynamic(sql`truncate orders, order_statuses, order_keys`));
  const args = ['orders', 'generate', '--count', String(orderCount), '--seed', '5'];
  expect(await endAfterFaults('generate', args)).toMatchObject({
    seed: 5,
    orders_created: orderCount,
    orders_replayed: 0,
    orders_rejected: 0,
  });
  await expectProof(orderCount);
});
