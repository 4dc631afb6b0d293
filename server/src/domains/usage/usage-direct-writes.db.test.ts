import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { type Day, dayOf, daysBetween } from '../../core/days.ts';
import { silentLogger } from '../../core/ports.ts';
import { createRandom } from '../../core/pseudo-random.ts';
import { systemClock } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { sqlClients, untilWaiting } from '../../testing/sql-clients.ts';
import { compareDay, compareTotals } from './usage-compare-queries.ts';
import { createDirectWrites } from './usage-direct-writes-service.ts';
import { openUsage } from './usage-service.ts';

const { db, url } = await openTestDatabase({ poolSize: 12 });
const usage = await openUsage({
  db,
  clock: systemClock,
  logger: silentLogger,
  rawDays: 14,
  rollupPauseMs: 100,
  groupCommit: true,
});
afterAll(() => usage.drain());
const directWrites = createDirectWrites({ db, clock: systemClock, isCitus: false });

const { connect } = sqlClients(url);
const client = await connect();

const day = (daysAgo: number): string => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);

interface Row {
  readonly id?: string;
  readonly subscription?: string;
  readonly type?: string;
  readonly daysAgo?: number;
  readonly used?: number;
  readonly price?: string;
}

const columns = 'used, used_at, day, usage_type, subscription_id, record_id, price';

const valuesOf = ({ id = 'r1', subscription = 'S1', type = 'data', daysAgo = 1, used = 10, price = '1.25' }: Row) =>
  `(${used}, '${day(daysAgo)} 10:00Z', '${day(daysAgo)}', '${type}', '${subscription}', '${id}', ${price})`;

const insert = (...rows: Row[]): string =>
  `insert into usage_records (${columns}) values ${rows.map(valuesOf).join(', ')}`;

const write = (text: string) => client.query(text);

interface Sum {
  readonly key: string;
  readonly sums: string;
}

const order = sql`order by 1`;

/** What the sums say, those of days and those of all time. */
const sums = async () => ({
  daily: await db.query(
    dynamic<Sum>(sql`select subscription_id || ' ' || usage_type || ' ' || day as key,
      records || ' ' || total_used || ' ' || trim_scale(total_price) as sums from usage_daily where records > 0 ${order}`),
  ),
  totals: await db.query(
    dynamic<Sum>(sql`select subscription_id || ' ' || usage_type as key,
      records || ' ' || total_used || ' ' || trim_scale(total_price) as sums from usage_totals where records > 0 ${order}`),
  ),
});

/** What they must say: GROUP BY over the raw rows. */
const expected = async () => ({
  daily: await db.query(
    dynamic<Sum>(sql`select subscription_id || ' ' || usage_type || ' ' || day as key,
      count(*) || ' ' || sum(used) || ' ' || trim_scale(sum(price)) as sums from usage_records
      group by subscription_id, usage_type, day ${order}`),
  ),
  totals: await db.query(
    dynamic<Sum>(sql`select subscription_id || ' ' || usage_type as key,
      count(*) || ' ' || sum(used) || ' ' || trim_scale(sum(price)) as sums from usage_records
      group by subscription_id, usage_type ${order}`),
  ),
});

/** What `verify usage` counts, which knows of what is not rolled up yet. */
async function differences(): Promise<number> {
  const { rawFrom } = await usage.horizon();
  let found = 0n;
  for (const one of daysBetween(rawFrom, dayOf(systemClock.now())))
    found += (await db.query(compareDay(one)))[0]?.differences ?? 0n;
  return Number(found + ((await db.query(compareTotals('', null)))[0]?.differences ?? 0n));
}

/** Rolls up and compares. */
async function expectExact(): Promise<void> {
  expect(await differences()).toBe(0);
  await usage.rollup.once();
  expect(await sums()).toEqual(await expected());
  expect(await differences()).toBe(0);
}

const total = async (subscription = 'S1', type = 'data') =>
  (await sums()).totals.find(({ key }) => key === `${subscription} ${type}`)?.sums;

// Triggers of a distributed table run on its shards, where the ledger is not: on Citus only the refusal is left to test.
test('Citus refuses them with the reason', async () => {
  const refusing = createDirectWrites({ db, clock: systemClock, isCitus: true });
  await expect(refusing.enable('test')).rejects.toMatchObject({
    code: 'direct_writes_unsupported',
    message: expect.stringContaining('POST /api/v1/usage/records/bulk'),
  });
  expect(await refusing.status()).toMatchObject({ state: onCitus ? 'disabled' : 'enabled' });
});

beforeEach(async () => {
  if (onCitus) return;
  await directWrites.disable('test');
  await db.query({
    text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments, usage_corrections',
    values: [],
  });
  await directWrites.enable('test');
});

describe.skipIf(onCitus)('rows written past the API', () => {
  test('an insert is counted', async () => {
    await write(insert({ id: 'a' }, { id: 'b', price: '0.10' }, { id: 'c', subscription: 'S2', type: 'voice' }));
    await expectExact();
    expect(await total()).toBe('2 20 1.35');
  });

  test('COPY is counted, with the bucket left out', async () => {
    const line = (id: string, used: number) => `${used}\t${day(2)} 23:59:59.999Z\t${day(2)}\tdata\tS1\t${id}\t0.30\n`;
    await db.transaction((tx) =>
      tx.copyIn(`copy usage_records (${columns}) from stdin`, [Buffer.from(line('a', 1) + line('b', 2))]),
    );
    await expectExact();
    expect(await total()).toBe('2 3 0.6');
  });

  test.for(['open', 'rolled up'])('an update is counted while its batch is %s', async (state) => {
    await write(insert({ id: 'a' }, { id: 'b' }));
    if (state === 'rolled up') await usage.rollup.once();
    await write(`update usage_records set used = 100, price = 7 where record_id = 'a'`);
    await expectExact();
    expect(await total()).toBe('2 110 8.25');
  });

  test.for(['open', 'rolled up'])('a delete is counted while its batch is %s', async (state) => {
    await write(insert({ id: 'a' }, { id: 'b', price: '3' }));
    if (state === 'rolled up') await usage.rollup.once();
    await write(`delete from usage_records where record_id = 'a'`);
    await expectExact();
    expect(await total()).toBe('1 10 3');
    await write(`delete from usage_records`);
    await expectExact();
    expect(await total()).toBeUndefined();
  });

  test('a record moves to another day, type and subscription', async () => {
    await write(insert({ id: 'a' }, { id: 'b' }));
    await usage.rollup.once();
    await write(
      `update usage_records set day = '${day(5)}', used_at = used_at - interval '4 days' where record_id = 'a'`,
    );
    await write(`update usage_records set usage_type = 'voice' where record_id = 'b'`);
    await expectExact();
    await write(
      `update usage_records set subscription_id = 'S9', bucket = bucket_of('S9'), price = 2 where record_id = 'a'`,
    );
    await expectExact();
    expect(await total('S9')).toBe('1 10 2');
  });

  test('ON CONFLICT DO NOTHING counts what was really inserted', async () => {
    await write(insert({ id: 'a' }));
    await usage.rollup.once();
    await write(`${insert({ id: 'a', price: '9' }, { id: 'b' })} on conflict do nothing`);
    await expectExact();
    expect(await total()).toBe('2 20 2.5');
  });

  test('ON CONFLICT DO UPDATE counts an insert and an update', async () => {
    await write(insert({ id: 'a' }));
    await usage.rollup.once();
    await write(
      `${insert({ id: 'a', price: '9' }, { id: 'b' })}
       on conflict (bucket, subscription_id, record_id, day) do update set price = excluded.price`,
    );
    await expectExact();
    expect(await total()).toBe('2 20 10.25');
  });

  test('MERGE that inserts, updates and deletes', async () => {
    await write(insert({ id: 'a' }, { id: 'b' }));
    await usage.rollup.once();
    await write(`merge into usage_records u
      using (values ('a', 5), ('b', null), ('c', 6)) v (id, price) on u.record_id = v.id
      when matched and v.price is null then delete
      when matched then update set price = v.price
      when not matched then insert (${columns}, bucket)
        values (1, '${day(1)} 10:00Z', '${day(1)}', 'data', 'S1', v.id, v.price, bucket_of('S1'))`);
    await expectExact();
    expect(await total()).toBe('2 11 11');
  });

  test('many statements of one transaction are one batch, those rolled back to a savepoint are none of it', async () => {
    await write(insert({ id: 'a' }));
    await usage.rollup.once();
    await write('begin');
    await write(insert({ id: 'b' }));
    await write(`update usage_records set price = 2 where record_id in ('a', 'b')`);
    await write('savepoint s');
    await write(insert({ id: 'c' }));
    await write(`delete from usage_records where record_id = 'a'`);
    await write('rollback to s');
    await write(`update usage_records set price = 3 where record_id = 'a'`);
    await write('commit');
    expect(await directWrites.status()).toMatchObject({ state: 'enabled', batches: 2, openBatches: 1 });
    await expectExact();
    expect(await total()).toBe('2 20 5');
  });

  test('a transaction that rolls back leaves nothing', async () => {
    await write('begin');
    await write(insert({ id: 'a' }));
    await write('rollback');
    expect((await usage.lag()).openBatches).toBe(0);
    await expectExact();
  });

  test('an update waits for a rollup that reads its row, and the other way round the rollup passes the batch over', async () => {
    await write(insert({ id: 'a' }));
    const other = await connect();
    await other.query('begin');
    await other.query(`update usage_records set price = 50 where record_id = 'a'`);
    expect((await usage.rollup.once()).batches).toBe(0);
    await other.query('commit');
    await expectExact();
    expect(await total()).toBe('1 10 50');

    await write(insert({ id: 'b' }));
    await other.query('begin');
    await other.query(`select from usage_batches where rolled_up_at is null for update`);
    const updating = write(`update usage_records set price = 7 where record_id = 'b'`);
    await untilWaiting(await connect());
    await other.query(`update usage_batches set rolled_up_at = now() where rolled_up_at is null`);
    // What a rollup adds: the row as it was.
    await other.query(`update usage_daily set records = 2, total_used = 20, total_price = 51.25`);
    await other.query(`update usage_totals set records = 2, total_used = 20, total_price = 51.25`);
    await other.query('commit');
    await updating;
    await expectExact();
    expect(await total()).toBe('2 20 57');
  });
});

describe.skipIf(onCitus)('with the API beside', () => {
  const record = (id: string, price = '1.00') => ({
    record_id: id,
    subscription_id: 'S1',
    usage_type: 'data',
    used_at: `${day(1)}T10:00:00Z`,
    used: 1,
    price,
  });
  const ingest = (...documents: unknown[]) =>
    usage.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });
  async function upload(text: string): Promise<number> {
    let accepted = 0;
    const source = (async function* () {
      yield Buffer.from(text);
    })();
    const options = { format: 'ndjson', actor: 'test', producerKey: null } as const;
    for await (const part of usage.importBytes(source, options)) accepted += part.accepted;
    return accepted;
  }

  test('what the API writes is counted once', async () => {
    await ingest(record('a'), record('b'), record('a'));
    await upload(`${JSON.stringify(record('c'))}\n${JSON.stringify(record('d'))}\n`);
    await ingest(record('a'), record('e'));
    // Some of it is there: staged and deduplicated.
    expect(await upload(`${JSON.stringify(record('d'))}\n${JSON.stringify(record('f'))}\n`)).toBe(1);
    expect((await directWrites.status()).batches).toBe(0);
    await expectExact();
    expect(await total()).toBe('6 6 6');
  });

  test('a record that was written directly is a duplicate to the API, and changed directly after the API wrote it', async () => {
    await write(insert({ id: 'a' }));
    expect((await ingest(record('a'))).duplicates).toBe(1);
    await ingest(record('b'));
    await usage.rollup.once();
    await write(`update usage_records set price = 4 where record_id = 'b'`);
    await expectExact();
    expect(await total()).toBe('2 11 5.25');
  });

  test('fresh sums are exact before the rollup', async () => {
    await ingest(record('a'));
    await usage.rollup.once();
    await ingest(record('b'));
    await write(`update usage_records set price = 4`);
    await write(insert({ id: 'c', price: '2' }));
    const today = dayOf(systemClock.now());
    const days = { from: (today - 10) as Day, to: today };
    const selection = { days, usageType: null, subscriptionId: 'S1' };
    const page = await usage.metrics(
      { selection, byDay: false, fresh: true, waitFor: null },
      { after: null, limit: 10 },
    );
    expect(page.items).toMatchObject([{ records: 3n, totalUsed: '12' }]);
    expect(Number(page.items[0]?.totalPrice)).toBe(10);
  });
});

describe.skipIf(onCitus)('refused', () => {
  const refusals: readonly (readonly [string, string, RegExp])[] = [
    [
      'a day that is not that of used_at',
      `(1, now() - interval '3 days', '${day(1)}', 'data', 'S1', 'x', 1)`,
      /day must/,
    ],
    ['an unknown type', valuesOf({ type: 'smoke' }), /usage_type smoke/],
    ['too many places', valuesOf({ price: '0.0000001' }), /more than 6 places/],
    ['usage of tomorrow', valuesOf({ daysAgo: -1 }), /5 minutes ahead/],
    ['no record id', valuesOf({ id: '' }), /1 to 200 characters/],
    ['negative usage', valuesOf({ used: -1 }), /check constraint/],
    ['NaN', valuesOf({ price: `'NaN'` }), /check constraint/],
  ];
  test.for(refusals)('%s', async ([, values, reason]) => {
    await expect(write(`insert into usage_records (${columns}) values ${values}`)).rejects.toThrow(reason);
    expect((await usage.lag()).openBatches).toBe(0);
  });

  test('a day behind the horizon', async () => {
    const { rawFrom } = await usage.horizon();
    await db.query({ text: `update usage_horizon set raw_from = $1::date + 1`, values: [day(14)] });
    await expect(write(insert({ daysAgo: 14 }))).rejects.toThrow(/take no raw usage any more/);
    await db.query({ text: `update usage_horizon set raw_from = '1970-01-01'::date + $1::int`, values: [rawFrom] });
  });

  test('a bucket that is another one, and the batch of somebody else', async () => {
    const other = (batch: string, bucket: string) =>
      `insert into usage_records (batch_id, bucket, ${columns}) values ${valuesOf({}).replace('(', `(${batch}, ${bucket}, `)}`;
    await expect(write(other('default', '1'))).rejects.toThrow(/bucket must be/);
    await expect(write(other('42', 'null'))).rejects.toThrow(/batch_id 42 is not the batch/);
    await write(insert({ id: 'a' }));
    await expect(
      write(other(`(select max(batch_id) from usage_batches)`, 'null').replace(`'r1'`, `'b'`)),
    ).rejects.toThrow(/is not the batch of this transaction/);
    await expect(write(`update usage_records set subscription_id = 'S2'`)).rejects.toThrow(/bucket must be/);
    await expectExact();
  });

  test('TRUNCATE', async () => {
    await expect(write('truncate usage_records')).rejects.toThrow(/would leave its sums/);
  });
});

describe.skipIf(onCitus)('the switch', () => {
  test('enabling again changes nothing, disabling lets inserts fail', async () => {
    expect(await directWrites.enable('test')).toMatchObject({ state: 'enabled', missing: [] });
    await write(insert({ id: 'a' }));
    expect(await directWrites.disable('test')).toMatchObject({ state: 'disabled', batches: 1 });
    await expect(write(insert({ id: 'b' }))).rejects.toThrow(/null value in column "(batch_id|bucket)"/);
    await directWrites.disable('test');
    await directWrites.enable('test');
    await write(insert({ id: 'b' }));
    await expectExact();
  });

  test('a partition made while it is on takes rows, and does not hold up the end', async () => {
    await usage.openDays(((await usage.horizon()).rawFrom - 2) as never);
    await write(insert({ daysAgo: 16 }));
    await expectExact();
    expect(await directWrites.disable('test')).toMatchObject({ state: 'disabled' });
  });

  test('a trigger that somebody disabled is told', async () => {
    await write('alter table usage_records disable trigger usage_direct_deleted');
    expect(await directWrites.status()).toMatchObject({ state: 'incomplete', missing: ['usage_direct_deleted'] });
    expect(await directWrites.enable('test')).toMatchObject({ state: 'enabled' });
  });

  test('a writer needs rights to usage_records only, and cannot reach a partition past the triggers', async () => {
    const role = `writer_${process.pid}_${Date.now()}`;
    await write(`create role ${role}; grant select, insert, update, delete on usage_records to ${role}`);
    const writer = await connect(`set session authorization ${role}`);
    await writer.query(`create temp table usage_batches (batch_id bigint)`);
    await writer.query(insert({ id: 'a' }, { id: 'b' }));
    await usage.rollup.once();
    await writer.query(`update usage_records set price = 8 where record_id = 'a'`);
    await writer.query(`delete from usage_records where record_id = 'b'`);
    await expectExact();
    expect(await total()).toBe('1 10 8');
    const partition = `usage_records_${day(1).replaceAll('-', '_')}`;
    await expect(writer.query(`delete from ${partition}`)).rejects.toThrow(/permission denied/);
    await writer.query('reset session authorization; discard temp');
    await write(`drop owned by ${role}; drop role ${role}`);
  });
});

test.skipIf(onCitus)(
  'writers, changers, the API and rollups at once, with rollbacks: every look is exact, and so is the end',
  {
    timeout: 60_000,
  },
  async () => {
    const rounds = 40;
    const workers = 5;
    let ended = 0;
    let looks = 0;
    const work = async (seed: number): Promise<void> => {
      const own = await connect();
      const random = createRandom(seed, 0);
      const pick = (n: number): number => Math.floor(random() * n);
      for (let round = 0; round < rounds; round++) {
        try {
          await own.query('begin');
          for (let i = 0; i <= pick(3); i++) await own.query(anyStatement(seed, round * 10 + i, pick));
          await own.query(pick(10) === 0 ? 'rollback' : 'commit');
        } catch (error) {
          await own.query('rollback');
          // Changers of the same rows in opposite order, of one that moved away meanwhile, or to where one is: their own affair.
          if (!['40P01', '40001', '23505'].includes((error as { code?: string }).code ?? '')) throw error;
        }
      }
    };
    const rollUp = async (): Promise<void> => {
      while (ended < workers) {
        await usage.rollup.once();
        await usage.ingest({
          documents: [
            {
              record_id: `api-${looks}`,
              subscription_id: 'S1',
              usage_type: 'data',
              used_at: `${day(1)}T10:00:00Z`,
              used: 1,
              price: '0.01',
            },
          ],
          actor: 'test',
          producerKey: null,
          contentHash: null,
        });
      }
    };
    const look = async (): Promise<void> => {
      while (ended < workers) {
        const [row] = await db.query(
          dynamic<{ raw: string; sums: string }>(sql`select
        (select coalesce(sum(price), 0) + 1000 * count(*) from usage_records)::text as raw,
        ((select coalesce(sum(total_price + 1000 * records), 0) from usage_totals)
          + (select coalesce(sum(u.price + 1000), 0) from usage_records u join usage_batches b using (batch_id) where b.rolled_up_at is null)
          + (select coalesce(sum(a.price_delta + 1000 * a.records_delta), 0) from usage_adjustments a
               join usage_batches b using (batch_id) where b.rolled_up_at is null))::text as sums`),
        );
        expect(Number(row?.sums)).toBe(Number(row?.raw));
        looks++;
      }
    };
    const working = Array.from({ length: workers }, (_, i) => work(i + 1).finally(() => ended++));
    await Promise.all([...working, rollUp(), look()]);
    await expectExact();
    expect(looks).toBeGreaterThan(3);
    expect((await sums()).totals.length).toBeGreaterThan(3);
  },
);

function anyStatement(worker: number, n: number, pick: (n: number) => number): string {
  const some = (): Row => ({
    id: `${worker}-${n}-${pick(3)}`,
    subscription: `S${pick(4)}`,
    type: pick(2) === 0 ? 'data' : 'voice',
    daysAgo: 1 + pick(4),
    used: pick(1_000),
    price: `0.${pick(100)}`,
  });
  const rows = `record_id in (select record_id from usage_records order by hashtext(record_id || '${n}') limit ${1 + pick(4)})`;
  switch (pick(6)) {
    case 0:
      return `update usage_records set price = price + 0.01, used = ${pick(50)} where ${rows}`;
    case 1:
      return `delete from usage_records where ${rows}`;
    case 2:
      return `${insert(some(), { ...some(), daysAgo: 5 })} on conflict (bucket, subscription_id, record_id, day)
        do update set price = excluded.price, used = usage_records.used + 1`;
    case 3:
      return `update usage_records set usage_type = 'voice', day = '${day(2)}', used_at = '${day(2)} 10:00Z' where ${rows}
                and record_id like '${worker}-%'`;
    default:
      return `${insert(some())} on conflict do nothing`;
  }
}

// The last one: it closes days.
test.skipIf(onCitus)('days whose raw rows were dropped keep their sums and take no more rows', async () => {
  await write(insert({ id: 'old', daysAgo: 9, price: '4' }, { id: 'new' }));
  await usage.rollup.once();
  await write(`update usage_records set price = 6 where record_id = 'old'`);
  const before = (dayOf(systemClock.now()) - 5) as Day;
  const { dropped, refused } = await usage.dropRaw({ before, actor: 'test' });
  expect(refused).toBeNull();
  expect(dropped.length).toBeGreaterThan(0);
  expect(await total()).toBe('2 20 7.25');
  await expect(write(insert({ daysAgo: 9 }))).rejects.toThrow(/no partition|no raw usage any more/);
  expect(await differences()).toBe(0);
});
