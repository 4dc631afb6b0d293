import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { type Day, dayOf, formatDay } from '../core/days.ts';
import { systemClock } from '../core/time.ts';
import { createUsageMaker } from '../domains/usage/usage-generator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { withAdmin } from '../testing/admin.ts';
import { crashDatabase, openDataFolder } from '../testing/data-folder.ts';
import { throughFaults } from '../testing/faults.ts';
import { runMilliard, spawnMilliard } from '../testing/milliard-process.ts';
import { createTestClient } from '../testing/open-database.ts';
import { usageDifferences } from '../testing/test-usage-world.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
/** So many that batches are left when the last fault is due. */
const records = 40_000;
const kills = full ? 30 : 4;
const databaseStops = full ? 5 : 1;
/** Slow enough that a run outlives all its faults. */
const rowsPerSecond = full ? 3_000 : 1_500;
const droppings = full ? { kills: 60, days: 300 } : { kills: 6, days: 40 };

const { folder: dataDir, server: embedded, db } = await openDataFolder('usage work test');
const env = { DATABASE_URL: embedded.url };
const yesterday = (dayOf(systemClock.now()) - 1) as Day;

const lastDocument = (stdout: string): unknown => JSON.parse(stdout.trim().split('\n').at(-1) ?? '');

async function run(...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runMilliard({ args: [...args, '--json'], env });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return lastDocument(stdout);
}

const batchesOf = async (kind: string): Promise<number> => {
  const [row] = await db.query(
    dynamic<{ batches: number }>(sql`select coalesce(sum(batches), 0)::int as batches
      from milliard_jobs.job_ranges join milliard_jobs.job_runs using (run_id) where kind = ${kind}`),
  );
  return row?.batches ?? 0;
};

/** Kills the command in the middle of its batches and types it again, and stops PostgreSQL under it. @returns the last line of --json */
async function endAfterFaults(kind: string, args: readonly string[]): Promise<unknown> {
  const counts = await throughFaults({
    ...{ db, kills, databaseStops, hits: 0, words: 'copy usage_records' },
    begin: () => spawnMilliard({ args: [...args, '--rate', String(rowsPerSecond)], env }),
    batches: () => batchesOf(kind),
    crashDatabase: () => crashDatabase(dataDir, embedded),
  });
  expect(counts.kills).toBe(kills);
  return run(...args, '--rate', '1000000');
}

const emptied = () =>
  db.query({ text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments', values: [] });

const totals = async () =>
  db.query(
    dynamic<{ records: bigint; price: string }>(
      sql`select sum(records)::bigint as records, sum(total_price)::text as price from usage_totals`,
    ),
  );

async function expectProof(rows: number): Promise<void> {
  expect(await run('verify', 'usage')).toMatchObject({ raw_rows: rows, differences: 0 });
  expect(await usageDifferences(db)).toEqual([]);
  expect(await totals()).toMatchObject([{ records: BigInt(rows) }]);
}

test('an import of usage killed again and again goes on by the same command: each record once, each rejected row once', async () => {
  const make = createUsageMaker({ seed: 3, subscriptions: 50, lastDay: yesterday, days: 7 });
  const lines = make(1, records).toString().trimEnd().split('\n');
  const text = lines.map((line, n) => (n > 0 && n % 100 === 0 ? `${line}9999999` : line)).join('\n');
  const file = join(dataDir, 'usage.csv');
  await writeFile(file, text);
  const bad = Math.floor(records / 100);
  expect(await endAfterFaults('usage.import', ['usage', 'import', file, '--errors', join(dataDir, 'bad.csv')])).toEqual(
    {
      rows: records,
      rows_rejected: bad,
      records_created: records - bad,
      records_replayed: 0,
    },
  );
  await expectProof(records - bad);
});

test('existing tables of another database, taken over by a command killed again and again: each row once', async () => {
  await emptied();
  await withAdmin(embedded.url, (admin) => admin.query('create database telco'));
  const sourceUrl = embedded.url.replace(/:\/\/([^@]*)@\/[^?]*/, '://$1:geheim@/telco');
  const source = createTestClient(sourceUrl);
  afterAll(() => source.close());
  await source.session((session) =>
    session.script(`
      create table data_usage (id bigserial primary key, price numeric(8, 2), usage_date timestamptz, kilobytes_used integer, subscription_id integer);
      create table voice_usage (id bigserial primary key, price numeric(8, 2), usage_date timestamptz, seconds_used integer, subscription_id integer);
      insert into data_usage (price, usage_date, kilobytes_used, subscription_id)
        select n / 100.0, now() - n * interval '7 days' / ${records}, n, n % 40 from generate_series(1, ${records / 2}) n;
      insert into voice_usage (price, usage_date, seconds_used, subscription_id)
        select n / 50.0, now() - n * interval '7 days' / ${records}, n, n % 40 from generate_series(1, ${records / 2}) n`),
  );
  const args = ['usage', 'populate', '--data-table', 'data_usage', '--voice-table', 'voice_usage'];
  const done = await endAfterFaults('usage.populate-from', [...args, '--source-url', sourceUrl]);
  expect(done).toMatchObject({
    records_created: records,
    records_replayed: 0,
    records_rejected: 0,
    records_too_old: 0,
  });
  await expectProof(records);
  const [sums] = await source.query(
    dynamic<{ price: string }>(
      sql`select ((select sum(price) from data_usage) + (select sum(price) from voice_usage))::text as price`,
    ),
  );
  expect(Number((await totals())[0]?.price)).toBe(Number(sums?.price));
  // Nothing of the address but where it is.
  const stored = await db.query(
    dynamic<{
      found: boolean;
    }>(sql`select exists (select from milliard_jobs.job_runs r where r::text like '%geheim%' or r::text like '%postgres://%')
      or exists (select from audit_log a where a::text like '%geheim%') as found`),
  );
  expect(stored).toEqual([{ found: false }]);
  expect(await run(...args, '--source-url', sourceUrl)).toMatchObject({
    records_created: 0,
    records_replayed: records,
  });
  await expectProof(records);
});

test('raw days dropped by a command killed at any moment, with PostgreSQL too: every day is dropped once, no sum changes', async () => {
  await emptied();
  const { days } = droppings;
  await run('usage', 'generate', '--count', '8000', '--days', String(days), '--subscriptions', '30', '--seed', '9');
  const before = await totals();
  const perDay = await db.query(
    dynamic<{ day: string; rows: bigint }>(
      sql`select to_char(day, 'YYYY-MM-DD') as day, count(*) as rows from usage_records group by day order by day`,
    ),
  );
  const args = ['usage', 'drop-raw', '--older-than', '2d'];
  const seen = dynamic<{ at: boolean }>(
    sql`select exists (select from pg_stat_activity where application_name = 'milliard usage drop-raw' and query ~ 'usage_day|usage_horizon|detach') as at`,
  );
  const rawDaysLeft = dynamic<{ n: number }>(sql`select count(distinct day)::int as n from usage_records`);
  let onTheWay = 0;
  for (let kill = 0; kill < droppings.kills; kill++) {
    const command = spawnMilliard({ args, env });
    while (command.isRunning() && (await db.query(seen))[0]?.at !== true);
    await delay(Math.random() * 120);
    if (kill === 2) await crashDatabase(dataDir, embedded);
    command.child.kill('SIGKILL');
    await command.ended;
    expect(await totals()).toEqual(before);
    if (((await db.query(rawDaysLeft))[0]?.n ?? 0) > 2) onTheWay++;
  }
  expect(onTheWay).toBeGreaterThan(1);
  expect(await run(...args)).toMatchObject({ refused: null });
  const keptFrom = formatDay((yesterday + 1 - 2) as Day);
  const dropped = await db.query(
    dynamic<{ day: string; rows: bigint }>(
      sql`select to_char(day, 'YYYY-MM-DD') as day, raw_rows as rows from usage_day_drops where dropped_at is not null and differences = 0 and raw_rows > 0 order by day`,
    ),
  );
  expect(dropped).toEqual(perDay.filter(({ day }) => day < keptFrom));
  const left = await db.query(
    dynamic<{
      name: string;
    }>(sql`select relname as name from pg_class where relname like 'usage_records_20%' and relkind = 'r'
      and relname < ${`usage_records_${keptFrom.replaceAll('-', '_')}`}`),
  );
  expect(left).toEqual([]);
  expect(await totals()).toEqual(before);
  expect(await run('verify', 'usage')).toMatchObject({ differences: 0 });
});
