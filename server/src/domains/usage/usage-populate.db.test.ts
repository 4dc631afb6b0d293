import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../core/ports.ts';
import type { JobKind } from '../../jobs/job.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { createTestJobs, noThrottle, stopAtEnd } from '../../testing/test-jobs.ts';
import { openUsageWorld, usageDifferences } from '../../testing/test-usage-world.ts';
import { createUsagePopulateKind } from './usage-populate-jobs.ts';

const { db, usage, run, jobs, sums } = await openUsageWorld();
const { db: other } = await openTestDatabase();
const signal = stopAtEnd();

const tables = `
  create table data_usage (id bigserial primary key, price numeric(8, 2), usage_date timestamptz, kilobytes_used integer, subscription_id integer);
  create table voice_usage (id uuid primary key default gen_random_uuid(), price double precision, usage_date timestamp, seconds_used bigint, subscription text)`;

await db.session((session) => session.script(tables));
await other.session((session) => session.script(tables));
afterAll(() => jobs);

beforeEach(async () => {
  await db.query({
    text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments, data_usage, voice_usage, milliard_jobs.job_runs cascade',
    values: [],
  });
  await db.query(dynamic(sql`update usage_horizon set raw_from = '2026-11-07', dropped_before = null`));
  await usage.refreshHorizon();
});

const both = { data_table: 'data_usage', voice_table: 'public.voice_usage' };

const fill = async (rows = 3_000) => {
  await db.query(
    dynamic(sql`insert into data_usage (price, usage_date, kilobytes_used, subscription_id)
      select (n % 100) / 100.0, timestamptz '2026-11-10T00:00:00Z' + n * interval '5 minutes', n, n % 7 from generate_series(1, ${rows}::integer) n`),
  );
  await db.query(
    dynamic(sql`insert into voice_usage (price, usage_date, seconds_used, subscription)
      select n / 8.0, timestamp '2026-11-10 00:00:00' + n * interval '1 minute', n, 'v' || n % 5 from generate_series(1, ${rows}::integer) n`),
  );
};

/** What the tables say, asked without any code of the product. */
const expected = async () => {
  const rows = await db.query(
    dynamic<{ line: string }>(sql`
      with raw as (
        select subscription_id::text as s, 'data' as t, (usage_date at time zone 'UTC')::date as d, kilobytes_used::numeric as u, price::numeric as p from data_usage
        union all select subscription, 'voice', usage_date::date, seconds_used, price::numeric from voice_usage),
      sums as (select s, t, d, count(*) as n, sum(u) as u, trim_scale(sum(p)) as p from raw group by grouping sets ((s, t, d), (s, t)))
      select s || ' ' || t || coalesce(' ' || to_char(d, 'MM-DD'), '') || ': ' || n || ' records, ' || u || ' used, ' || p as line from sums order by 1`),
  );
  return rows.map(({ line }) => line);
};

const trimmed = async () => (await sums()).map((line) => line.replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, ''));

describe('populate', () => {
  test('takes over both tables exactly; again, it changes nothing and takes what is new', async () => {
    await fill();
    const first = await run('usage.populate', both);
    expect(first.counts).toMatchObject({ records_created: 6_000, records_replayed: 0, records_rejected: 0 });
    expect(first).toMatchObject({ doneRows: 6_000, total: { rows: 6_000, precision: 'exact' } });
    expect((await trimmed()).sort()).toEqual((await expected()).sort());
    expect(await usageDifferences(db)).toEqual([]);
    const before = await sums();
    expect((await run('usage.populate', both)).counts).toMatchObject({ records_created: 0, records_replayed: 6_000 });
    expect(await sums()).toEqual(before);
    await db.query(
      dynamic(
        sql`insert into data_usage (price, usage_date, kilobytes_used, subscription_id) values (1, '2026-11-10', 1, 3)`,
      ),
    );
    expect((await run('usage.populate', both)).counts).toMatchObject({ records_created: 1, records_replayed: 6_000 });
    expect((await trimmed()).sort()).toEqual((await expected()).sort());
  });

  test('opens older days as far as they can be, and counts what is older', async () => {
    await db.query(
      dynamic(sql`insert into data_usage (price, usage_date, kilobytes_used, subscription_id) values
        (1, '2026-10-01T12:00:00Z', 1, 1), (2, '2026-10-31T23:59:59.999999Z', 1, 1), (4, '2026-11-19', 1, 1), (8, '2019-01-01', 1, 1)`),
    );
    const { counts } = await run('usage.populate', { data_table: 'data_usage', oldest: '2026-10-01' });
    expect(counts).toMatchObject({ records_created: 3, records_too_old: 1 });
    expect(await sums()).toEqual([
      '1 data 10-01: 1 records, 1 used, 1',
      '1 data 10-31: 1 records, 1 used, 2',
      '1 data 11-19: 1 records, 1 used, 4',
      '1 data: 3 records, 3 used, 7',
    ]);
    await usage.dropRaw({ before: (await usage.horizon()).rawFrom, actor: 'tester' });
  });

  test('tells rows that are no good with their keys', async () => {
    await db.query(
      dynamic(sql`insert into data_usage (price, usage_date, kilobytes_used, subscription_id) values
        (1, '2026-11-19', 1, 1), (-1, '2026-11-19', 1, 1), (1, null, 1, 1), (1, '2026-11-19', null, 1), (1, '2026-11-19', 1, null),
        (null, '2026-11-19', 1, 1), (1, '2027-01-01', 1, 1), (1, 'infinity', 1, 1)`),
    );
    await db.query(
      dynamic(sql`insert into voice_usage (price, usage_date, seconds_used, subscription) values
        ('NaN', '2026-11-19', 1, 'x'), ('Infinity', '2026-11-19', 1, 'x'), (0.1234567, '2026-11-19', 1, 'x'), (1e-300, '2026-11-19', 1, 'x'),
        (1, '2026-11-19', -1, 'x'), (1, '2026-11-19', 1, ''), (1, '2026-11-19', 1, E'a\nb'), (1, '2026-11-19', 1, 'a, "b"')`),
    );
    const { counts, result } = await run('usage.populate', both);
    expect(counts).toMatchObject({ records_created: 2, records_rejected: 14, records_too_old: 0 });
    const { first_rejected: first } = result as { first_rejected: { record: string; code: string }[] };
    expect(first.slice(0, 2)).toMatchObject([
      { record: expect.stringMatching(/^public\.data_usage:\d+$/), code: 'invalid_input' },
      { record: expect.stringMatching(/^public\.data_usage:\d+$/) },
    ]);
    expect(first.map(({ code }) => code)).toContain('in_future');
    expect(await sums()).toEqual([
      '1 data 11-19: 1 records, 1 used, 1',
      '1 data: 1 records, 1 used, 1',
      'a, "b" voice 11-19: 1 records, 1 used, 1',
      'a, "b" voice: 1 records, 1 used, 1',
    ]);
  });

  test('reads odd names and several columns for the subscription', async () => {
    await db.session((session) =>
      session.script(`drop schema if exists "Odd" cascade; create schema "Odd";
        create table "Odd"."Da ta" ("Key!" text not null unique, "when" date, att integer, sprint integer, kb smallint, "the price" money);
        insert into "Odd"."Da ta" values (E'k''1\\\\', '2026-11-20', 17, null, 1, 1.5), ('k2', '2026-11-20', null, 17, 2, 2)`),
    );
    const map = { key: 'Key!', usage_date: 'when', subscription: 'att+sprint', 'data.used': 'kb', price: 'the price' };
    const { counts } = await run('usage.populate', { data_table: '"Odd"."Da ta"', map });
    expect(counts).toMatchObject({ records_created: 2 });
    expect((await sums()).filter((line) => line.includes('11-20'))).toEqual([
      'att:17 data 11-20: 1 records, 1 used, 1.5',
      'sprint:17 data 11-20: 1 records, 2 used, 2',
    ]);
  });

  test.each([
    [{}, /Name the table/],
    [{ data_table: 'nothing_here' }, /no table nothing_here/],
    [{ data_table: 'data_usage', map: { used: 'kb' } }, /has no column kb for used/],
    [{ data_table: 'data_usage', map: { key: 'price' } }, /may be empty or stand twice/],
    [{ data_table: 'data_usage', map: { usage_date: 'price' } }, /a date or timestamp is needed/],
    [{ voice_table: 'voice_usage', map: { price: 'subscription' } }, /a number is needed/],
    [{ data_table: 'data_usage; drop table x' }, /./],
    [{ data_table: 'data_usage', source: 'elsewhere' }, /--source-url/],
  ])('refuses %j', async (parameters, message) => {
    await expect(jobs.start('usage.populate', parameters, { actor: 'tester' })).rejects.toThrow(message);
  });

  test('reads another database and stores nothing of its address', async () => {
    await other.query(
      dynamic(
        sql`insert into data_usage (price, usage_date, kilobytes_used, subscription_id) values (3, '2026-11-19', 9, 1)`,
      ),
    );
    const kind = createUsagePopulateKind({ writer: usage.writer, rollup: usage.rollup, source: other }) as JobKind;
    const elsewhere = createTestJobs(db, { kinds: [kind], logger: silentLogger });
    const parameters = { data_table: 'data_usage', source: 'db:5432/telco' };
    const { run: started } = await elsewhere.start('usage.populate-from', parameters, {
      actor: 't',
      throttle: noThrottle,
    });
    const done = await elsewhere.runHere(started.runId, { signal, whenStopped: 'pause' });
    expect(done.counts).toMatchObject({ records_created: 1 });
    // Servers, which have no address, do not know the kind.
    await expect(jobs.start('usage.populate-from', parameters, { actor: 't' })).rejects.toMatchObject({
      code: 'job_kind_unknown',
    });
  });

  test('a dry run stores and opens nothing', async () => {
    await fill(100);
    await db.query(
      dynamic(
        sql`insert into data_usage (price, usage_date, kilobytes_used, subscription_id) values (1, '2026-10-01', 1, 1)`,
      ),
    );
    await jobs.rehearse('usage.populate', both, { batches: 2, actor: 'tester' });
    expect(await usage.horizon()).toMatchObject({ droppedBefore: null });
    expect((await usage.lag()).openBatches).toBe(0);
  });
});
