import { describe, expect, test } from 'vitest';
import { formatInstant, type Instant } from '../../core/time.ts';
import type { JobRun } from '../../jobs/job.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { untouched } from '../../testing/stopped-runs.ts';
import { testNow } from '../../testing/test-clock.ts';
import { defaultCurrency, openTestOrderJobs } from '../../testing/test-order-jobs.ts';
import { createOrderMaker } from './order-generator.ts';

const { db, engine, start, withStops, withCuts, stored } = await openTestOrderJobs();

describe('orders.generate', () => {
  const parameters = { count: 10_500, customers: 40, seed: 3, from: '2024-11-01', to: '2025-03-01' };

  const expectWhole = async (run: JobRun): Promise<void> => {
    const make = createOrderMaker({
      ...{ count: 10_500, customers: 40, zipf: 1, cancelledShare: 0.08, seed: 3, currency: defaultCurrency },
      from: Date.UTC(2024, 10, 1) as Instant,
      to: Date.UTC(2025, 2, 1) as Instant,
    });
    const made = Array.from({ length: 10_500 }, (_, i) => make(i + 1));
    expect(run).toMatchObject({
      state: 'done',
      doneRows: 10_500,
      counts: {
        orders_created: 10_500,
        orders_replayed: 0,
        orders_rejected: 0,
        items: made.reduce((sum, { items }) => sum + items.length, 0),
      },
      result: { seed: 3 },
    });
    const found = await db.query(
      dynamic<{ number: string; total: bigint; at: Instant }>(
        sql`select order_number as number, total_minor as total, placed_at as at from orders`,
      ),
    );
    expect(found.map(({ number, total, at }) => `${number} ${total} ${at}`).sort()).toEqual(
      made.map(({ orderNumber, total, placedAt }) => `${orderNumber} ${total} ${placedAt}`).sort(),
    );
  };

  test('makes each order once, whatever stops it on the way', async () => {
    const { run, stops } = await withStops(await start('orders.generate', parameters), () => 1_000, 4);
    expect(stops).toBe(4);
    await expectWhole(run);
  });

  test('makes each order once, though connections break as it commits', async () => {
    await expectWhole(await withCuts(await start('orders.generate', parameters), 400));
  });

  test('is the same run while it is unfinished, and finds its orders there afterwards', async () => {
    const jobs = engine(1_000);
    const small = { count: 50, seed: 9, from: '2025-01-01', to: '2025-02-01' };
    const first = await start('orders.generate', small);
    expect(await start('orders.generate', small)).toBe(first);
    await jobs.runHere(first, untouched);
    const again = await jobs.runHere(await start('orders.generate', small), untouched);
    expect(again.counts).toMatchObject({ orders_created: 0, orders_replayed: 50 });
    const other = await jobs.runHere(await start('orders.generate', { ...small, to: '2025-02-02' }), untouched);
    expect(other.counts).toMatchObject({ orders_created: 0, orders_replayed: 0, orders_rejected: 50 });
  });

  test('makes older months apart from its transactions, and a rehearsal leaves none of them behind', async () => {
    const months = async () =>
      (await db.query(dynamic<{ n: number }>(sql`select count(*)::int as n from pg_inherits`)))[0]?.n ?? 0;
    const before = await months();
    const old = { count: 30, seed: 1, from: '2001-01-01', to: '2001-04-01' };
    const forecast = await engine(10).rehearse('orders.generate', old, { batches: 2, actor: 'test' });
    expect(forecast).toMatchObject({ sampledRows: 20, failedBatches: 0, total: { rows: 30 } });
    expect({ months: await months(), orders: await stored() }).toEqual({ months: before, orders: [] });
    const run = await engine(10).runHere(await start('orders.generate', old), untouched);
    expect(run.counts).toMatchObject({ orders_created: 30 });
    expect(await months()).toBeGreaterThan(before);
  });

  test.each([
    [{ count: 0 }, '/count'],
    [{ count: 1, from: '2025-02-01', to: '2025-01-01' }, '/from'],
    [{ count: 1, from: '1994-01-01' }, '/from'],
    [{ count: 1, to: '2025-07-01' }, '/to'],
    [{ count: 1, to: 'yesterday' }, '/to'],
    [{ count: 1, cancelled: 2 }, '/cancelled'],
  ])('refuses %j', async (parameters, pointer) => {
    await expect(start('orders.generate', parameters)).rejects.toMatchObject({ errors: [{ pointer }] });
  });
});

describe('orders.verify', () => {
  test('with repair, stopped at every turn, counts and mends each order once', async () => {
    const jobs = engine(1_000);
    await jobs.runHere(await start('orders.generate', { count: 400, seed: 1, to: formatInstant(testNow) }), untouched);
    await db.query(
      dynamic(sql`update orders set status = case status when 'complete' then 'cancelled' else 'complete' end
        where right(order_number, 1) = '7'`),
    );
    const broken = 40;
    const runId = await start('orders.verify', { repair: true });
    const { run, stops } = await withStops(runId, () => 60, 8);
    expect(stops).toBeGreaterThan(4);
    const [{ statuses } = { statuses: 0 }] = await db.query(
      dynamic<{ statuses: number }>(sql`select count(*)::int as statuses from order_statuses`),
    );
    expect(run.counts).toEqual({ orders: 400, statuses, keys: 400, differences: broken, mended: broken });
    expect(run.result).toMatchObject({ first_differences: { length: broken } });
    const again = await jobs.runHere(await start('orders.verify', {}), untouched);
    expect(again.counts).toMatchObject({ orders: 400, differences: 0 });
  });
});
