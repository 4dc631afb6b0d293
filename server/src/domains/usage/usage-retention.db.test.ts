import { beforeEach, describe, expect, test } from 'vitest';
import { type Day, formatDay, parseDay, startOfDay } from '../../core/days.ts';
import { takeRawDayOut } from '../../storage/day-partition-drop.ts';
import { ensureRawDays, listRawDays, rawPartitionOf } from '../../storage/day-partitions.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openUsageWorld, usageDifferences, usageToday } from '../../testing/test-usage-world.ts';
import { lockHorizon } from './usage-ledger-queries.ts';
import { createUsageRetention } from './usage-retention-service.ts';

const { db, usage, run, send, sums } = await openUsageWorld();
const day = (text: string): Day => parseDay(`2026-11-${text}`) ?? (0 as Day);

/** An impatient one, so that a test of what stands in the way takes no minute. */
const deps = {
  ...{ db, rollup: usage.rollup, refreshHorizon: () => usage.refreshHorizon() },
  clock: { now: () => startOfDay(usageToday) },
  isCitus: onCitus,
};
const impatient = createUsageRetention({ ...deps, patienceMs: 300 });
const patient = createUsageRetention(deps);
const drop = (before: Day, via = impatient) => via.dropRaw({ before, actor: 'tester' });

beforeEach(async () => {
  await db.query({
    text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments, usage_day_drops',
    values: [],
  });
  await db.query(dynamic(sql`update usage_horizon set raw_from = '2026-11-07', dropped_before = null`));
  const checks = await db.query(
    dynamic<{ name: string }>(sql`select c.relname as name from pg_class c where relname like 'usage_records_2026%'
      and relkind = 'r' and not exists (select from pg_inherits where inhrelid = c.oid)`),
  );
  for (const { name } of checks) await db.query({ text: `drop table ${name}`, values: [] });
  await ensureRawDays(
    db,
    Array.from({ length: 18 }, (_, i) => (day('07') + i) as Day),
  );
  await usage.refreshHorizon();
});

const checks = () =>
  db.query(
    dynamic<{ day: string; rows: bigint; differences: bigint; dropped: boolean }>(sql`
      select to_char(day, 'MM-DD') as day, raw_rows as rows, differences, dropped_at is not null as dropped from usage_day_drops order by day`),
  );

describe('dropping raw days', () => {
  test('keeps the sums, records each check, closes the days and forgets their batches', async () => {
    await send('A 2026-11-08 1.10', 'A 2026-11-08 2.20', 'B 2026-11-09 3');
    await send('B 2026-11-15 4');
    const report = await drop(day('10'));
    expect(report.refused).toBeNull();
    expect(report.dropped.map((one) => [formatDay(one.day), one.rawRows])).toEqual([
      ['2026-11-07', 0n],
      ['2026-11-08', 2n],
      ['2026-11-09', 1n],
    ]);
    expect(await sums()).toEqual([
      'A data 11-08: 2 records, 200 used, 3.30',
      'A data: 2 records, 200 used, 3.30',
      'B data 11-09: 1 records, 100 used, 3',
      'B data 11-15: 1 records, 100 used, 4',
      'B data: 2 records, 200 used, 7',
    ]);
    expect(await checks()).toMatchObject([
      { day: '11-07', rows: 0n, differences: 0n, dropped: true },
      { day: '11-08', rows: 2n, differences: 0n, dropped: true },
      { day: '11-09', rows: 1n, differences: 0n, dropped: true },
    ]);
    expect((await listRawDays(db)).map(formatDay)[0]).toBe('2026-11-10');
    expect(await usage.horizon()).toEqual({ rawFrom: day('10'), droppedBefore: day('10') });
    await expect(send('A 2026-11-09 1')).rejects.toThrow('too_old');
    await expect(usage.openDays(day('09'))).rejects.toMatchObject({ code: 'raw_dropped' });
    expect(await drop(day('10'))).toMatchObject({ dropped: [], refused: null });
    expect((await run('usage.verify', {})).counts).toMatchObject({ differences: 0, totals: 2 });
  });

  test('forgets batches when all their days and the day they came on lie behind', async () => {
    await send('A 2026-11-08 1');
    await send('A 2026-11-08 1', 'A 2026-11-15 1');
    await usage.rollup.once();
    expect(await drop(day('10'))).toMatchObject({ forgottenBatches: 0 });
    await db.query(dynamic(sql`update usage_batches set created_at = '2026-11-08'`));
    expect(await drop(day('10'))).toMatchObject({ forgottenBatches: 1 });
    expect(await usageDifferences(db)).toEqual([]);
  });

  test('refuses a day whose sums differ, says which, and goes on once they are mended', async () => {
    await send('A 2026-11-08 1', 'A 2026-11-09 2');
    await usage.rollup.once();
    await db.query(dynamic(sql`update usage_daily set total_price = 5 where day = '2026-11-09'`));
    const { dropped, refused } = await drop(day('12'));
    expect(dropped.map((one) => formatDay(one.day))).toEqual(['2026-11-07', '2026-11-08']);
    expect(refused).toMatchObject({
      reason: 'difference',
      day: day('09'),
      differences: [{ subscriptionId: 'A', price: '2', storedPrice: '5' }],
    });
    expect(await checks()).toMatchObject([{}, {}, { day: '11-09', differences: 1n, dropped: false }]);
    // The day is closed already, its raw rows are there: it can be seen and mended.
    expect((await run('usage.verify', { repair: true })).counts).toMatchObject({ differences: 1, mended: 1 });
    expect(await drop(day('12'))).toMatchObject({ refused: null });
    expect(await sums()).toEqual([
      'A data 11-08: 1 records, 100 used, 1',
      'A data 11-09: 1 records, 100 used, 2',
      'A data: 2 records, 200 used, 3',
    ]);
  });

  test('that ends halfway leaves days behind the horizon, and the status still tells them', async () => {
    await send('A 2026-11-08 1', 'A 2026-11-09 2', 'A 2026-11-15 3');
    await usage.rollup.once();
    await db.query(dynamic(sql`update usage_daily set total_price = 5 where day = '2026-11-09'`));
    expect(await drop(day('12'))).toMatchObject({ refused: { reason: 'difference' } });
    const { horizon, rawDays } = await usage.usageStatus();
    expect(horizon.rawFrom).toBe(day('12'));
    expect(rawDays.map(formatDay)).toEqual(['2026-11-09', '2026-11-15']);
  });

  test('refuses while a batch of these days is held by somebody, and leaves later open batches alone', async () => {
    await send('A 2026-11-08 1');
    await db.session(async (holder) => {
      await holder.script('begin; select from usage_batches for update');
      expect(await drop(day('10'))).toMatchObject({ dropped: [], refused: { reason: 'open_batches' } });
      await holder.script('rollback');
    });
    expect(await drop(day('10'))).toMatchObject({ refused: null });
  });

  test('waits for those who write by the former horizon; they never wait for ever', async () => {
    await db.session(async (holder) => {
      await holder.script('begin');
      await holder.run(lockHorizon());
      expect(await drop(day('10'))).toMatchObject({ dropped: [], refused: { reason: 'in_use' } });
      // Its lock is given back: others come through.
      await send('A 2026-11-08 1');
      await holder.script('rollback');
    });
    expect((await usage.horizon()).droppedBefore).toBeNull();
    expect(await drop(day('10'))).toMatchObject({ refused: null });
    expect(await sums()).toEqual(['A data 11-08: 1 records, 100 used, 1', 'A data: 1 records, 100 used, 1']);
  });

  // Citus has no DETACH … CONCURRENTLY, so that a day is either attached or not: there a reader is waited for (the test before).
  test.skipIf(onCitus)(
    'a reader who holds an old day lets it be detached no further, and the next one goes on',
    async () => {
      await send('A 2026-11-07 1');
      await db.session(async (reader) => {
        await reader.script(`begin; select from ${rawPartitionOf(day('07'))}`);
        const dropping = drop(day('08'), patient);
        let over = false;
        dropping.finally(() => {
          over = true;
        });
        const detaching = dynamic<{ n: bigint }>(sql`select count(*) as n from pg_inherits where inhdetachpending`);
        while ((await db.query(detaching))[0]?.n !== 1n && !over)
          await new Promise((resolve) => setTimeout(resolve, 5));
        expect(over).toBe(false);
        // Others neither see the day nor wait.
        expect((await run('usage.verify', {})).counts).toMatchObject({ differences: 0, days: 17 });
        await reader.script('rollback');
        expect(await dropping).toMatchObject({ refused: null });
      });
      expect(await checks()).toMatchObject([{ day: '11-07', rows: 1n, dropped: true }]);
    },
  );

  test.each(['checked', 'detached', 'dropped'] as const)(
    'goes on after one that was ended when a day was %s',
    async (at) => {
      await send('A 2026-11-07 1');
      await usage.rollup.once();
      await db.query(dynamic(sql`update usage_horizon set raw_from = '2026-11-08', dropped_before = '2026-11-08'`));
      await db.query(
        dynamic(
          sql`insert into usage_day_drops (day, raw_rows, differences, checked_at, actor) values ('2026-11-07', 1, 0, now(), 'dead')`,
        ),
      );
      await db.session(async (session) => {
        const steps = { checked: [], detached: ['attached'], dropped: ['attached', 'detached'] } as const;
        for (const state of steps[at]) await takeRawDayOut(session, { day: day('07'), state }, { isCitus: onCitus });
      });
      expect(await drop(day('08'))).toMatchObject({ dropped: [{ day: day('07'), rawRows: 1n }], refused: null });
      expect(await checks()).toMatchObject([{ day: '11-07', rows: 1n, dropped: true }]);
      const left = await db.query(dynamic(sql`select to_regclass('usage_records_2026_11_07') is null as gone`));
      expect(left).toEqual([{ gone: true }]);
    },
  );

  test('two at once: one does it', async () => {
    await send('A 2026-11-08 1');
    const reports = await Promise.all([drop(day('10')), drop(day('10'))]);
    const all = reports.flatMap(({ dropped }) => dropped.map((one) => formatDay(one.day)));
    expect(all.sort()).toEqual(['2026-11-07', '2026-11-08', '2026-11-09']);
  });

  test('while usage comes in nothing is counted twice or lost', async () => {
    const sending = (async () => {
      for (let i = 0; i < 40; i++)
        await send(`S${i % 3} 2026-11-${String(9 + (i % 6)).padStart(2, '0')} 0.01`).catch(() => {});
    })();
    await drop(day('12'), patient);
    await sending;
    await usage.rollup.once();
    expect(await usageDifferences(db)).toEqual([]);
    const [truth] = await db.query(
      dynamic<{ n: bigint }>(
        sql`select (select sum(raw_rows) from usage_day_drops)::bigint + (select count(*) from usage_records) as n`,
      ),
    );
    const [total] = await db.query(dynamic<{ n: bigint }>(sql`select sum(records)::bigint as n from usage_totals`));
    expect(total?.n).toBe(truth?.n);
  });

  test('today and later stay', async () => {
    await expect(drop((usageToday + 1) as Day)).rejects.toMatchObject({ code: 'in_future' });
  });
});
