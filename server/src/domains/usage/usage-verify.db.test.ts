import { beforeEach, describe, expect, test } from 'vitest';
import { type Day, parseDay } from '../../core/days.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openUsageWorld, usageDifferences } from '../../testing/test-usage-world.ts';
import type { Decimal } from './usage.ts';
import type { UsageVerifyResult } from './usage-verify-jobs.ts';

const { db, usage, run, jobs, send, sums } = await openUsageWorld();

const good = [
  'A data 11-15: 2 records, 200 used, 0.30',
  'A data 11-16: 1 records, 100 used, 5',
  'A data: 3 records, 300 used, 5.30',
  'B data 11-16: 1 records, 100 used, 7',
  'B data: 1 records, 100 used, 7',
];

beforeEach(async () => {
  await db.query({
    text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments',
    values: [],
  });
  await send('A 2026-11-15 0.10', 'A 2026-11-15 0.20', 'A 2026-11-16 5', 'B 2026-11-16 7');
  await usage.rollup.once();
});

const wrongs = {
  'a daily sum that is too high': sql`update usage_daily set total_price = 99 where subscription_id = 'A' and day = '2026-11-15'`,
  'a daily sum that is missing': sql`delete from usage_daily where subscription_id = 'B'`,
  'a daily sum of nothing': sql`insert into usage_daily select day, bucket_of('C'), usage_type, 'C', 1, 2, 3 from usage_daily limit 1`,
  'a total that is wrong': sql`update usage_totals set records = 17 where subscription_id = 'A'`,
  'a total that is missing': sql`delete from usage_totals where subscription_id = 'A'`,
  'a total of nothing': sql`insert into usage_totals values (bucket_of('C'), 3, 'data', 'C', 1, 2, 3)`,
  'a total with another level of its price': sql`update usage_totals set price_level = 1 where subscription_id = 'A'`,
};

describe('verify usage', () => {
  test('finds nothing where nothing is wrong, open batches and adjustments included', async () => {
    const [record] = await db.query(
      dynamic<{ recordId: string }>(sql`select record_id as "recordId" from usage_records where subscription_id = 'B'`),
    );
    const day = parseDay('2026-11-16') ?? (0 as Day);
    const identity = { subscriptionId: 'B', recordId: record?.recordId ?? '', day };
    const change = { subscriptionId: 'C', price: '8.5' as Decimal };
    await usage.correct({ identity, revision: 1, change, reason: null, actor: 'tester' });
    // Before the rollup, and after it.
    expect((await run('usage.verify', {})).counts).toMatchObject({ differences: 0 });
    await usage.rollup.once();
    await send('A 2026-11-15 9');
    const { counts, result, state } = await run('usage.verify', {});
    expect(state).toBe('done');
    expect(counts).toMatchObject({ days: 18, raw_rows: 4, daily_sums: 4, differences: 0, mended: 0 });
    expect(result).toEqual({ first_differences: [] });
  });

  test.each(Object.entries(wrongs))('finds %s, tells it, and mends it', async (_, wrong) => {
    await db.query(dynamic(wrong));
    const looked = await run('usage.verify', {});
    expect(looked.counts['differences']).toBeGreaterThan(0);
    const { first_differences: first } = looked.result as unknown as UsageVerifyResult;
    expect(first[0]).toMatchObject({ mended: false });
    expect(looked.counts['mended']).toBe(0);
    const mended = await run('usage.verify', { repair: true });
    expect(mended.counts['mended']).toBe(mended.counts['differences']);
    expect((await run('usage.verify', {})).counts).toMatchObject({ differences: 0 });
    expect((await sums()).filter((line) => !line.includes(': 0 records, 0 used, 0'))).toEqual(good);
    expect(
      await usageDifferences(db).then((rows) => rows.filter((row) => !JSON.stringify(row).includes('"C"'))),
    ).toEqual([]);
  });

  test('is exact while usage comes in and is rolled up; a repair then changes nothing that is right', async () => {
    let over = false;
    const sending = (async () => {
      for (let i = 0; !over; i++) {
        await send(`A 2026-11-1${i % 7} 0.01`, `S${i} 2026-11-15 1`);
        if (i % 3 === 0) await usage.rollup.once();
      }
    })();
    for (let round = 0; round < 5; round++) {
      const { counts } = await run('usage.verify', { repair: round % 2 === 1 });
      expect(counts).toMatchObject({ differences: 0, mended: 0 });
    }
    over = true;
    await sending;
    await usage.rollup.once();
    expect(await usageDifferences(db)).toEqual([]);
  });

  test('two that mend at once mend once', async () => {
    await db.query(dynamic(wrongs['a daily sum that is too high']));
    await db.query(dynamic(wrongs['a total that is missing']));
    await Promise.all([
      run('usage.verify', { repair: true }),
      run('usage.rebuild', { from: '2026-11-14', to: '2026-11-16' }),
    ]);
    expect(await sums()).toEqual(good);
  });
});

describe('rebuild', () => {
  test('makes the sums of some days and the totals anew while usage comes in, and no other day', async () => {
    await db.query(dynamic(sql`delete from usage_daily`));
    await db.query(dynamic(sql`update usage_totals set total_used = 1`));
    let over = false;
    const sending = (async () => {
      while (!over) {
        await send('A 2026-11-15 1');
        await usage.rollup.once();
      }
    })();
    const { counts } = await run('usage.rebuild', { from: '2026-11-15', to: '2026-11-15' });
    over = true;
    await sending;
    expect(counts).toMatchObject({ days: 1 });
    expect((await sums()).filter((line) => line.includes('11-16'))).toEqual([]);
    await run('usage.rebuild', { from: '2026-11-16', to: '2026-11-17' });
    await usage.rollup.once();
    expect(await usageDifferences(db)).toEqual([]);
    // Where nothing was wrong the totals are not gone through.
    expect((await run('usage.rebuild', { from: '2026-11-15', to: '2026-11-16' })).counts).toEqual(
      expect.not.objectContaining({ totals: expect.anything() }),
    );
  });

  test('refuses days without raw rows and days in the wrong order', async () => {
    const start = (from: string, to: string) => jobs.start('usage.rebuild', { from, to }, { actor: 'tester' });
    await expect(start('2026-11-06', '2026-11-08')).rejects.toMatchObject({ code: 'job_refused' });
    await expect(start('2026-11-20', '2026-11-30')).rejects.toMatchObject({ code: 'job_refused' });
    await expect(start('2026-11-16', '2026-11-15')).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(start('2026-02-30', '2026-11-15')).rejects.toMatchObject({ code: 'invalid_input' });
  });
});
