// Each of the classic ways to keep sums, as benchmarked in bench/usage/classic, and where it goes wrong: two writers at once in an
// order that is enforced, and raw rows that are dropped.
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../core/ports.ts';
import { systemClock } from '../../core/time.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { type SqlClient, sqlClients, untilWaiting } from '../../testing/sql-clients.ts';
import { createDirectWrites } from './usage-direct-writes-service.ts';
import { openUsage } from './usage-service.ts';

const { db, url } = await openTestDatabase({ poolSize: 8 });

const classic = (name: string): string =>
  readFileSync(new URL(`../../../../bench/usage/classic/${name}.sql`, import.meta.url), 'utf8');

const clients = sqlClients(url);
const connect = (schema: string) => clients.connect(`set search_path = ${schema}, public`);

let schemas = 0;

/** A schema of its own with one of the answers, and two writers. */
async function given(answer: string) {
  const schema = `classic_${++schemas}`;
  const a = await connect(schema);
  await a.query(`create schema ${schema}`);
  await a.query(classic('tables'));
  if (answer !== 'signals') await a.query(classic(answer));
  const b = await connect(schema);
  return { a, b };
}

const day = '2026-11-20';
let ids = 0;

const insertInto = (table: string, ...subscriptions: string[]): string =>
  `insert into ${table} (batch_id, used, used_at, day, bucket, usage_type, subscription_id, record_id, price) values ${subscriptions
    .map((id) => `(0, 10, '${day} 10:00Z', '${day}', bucket_of('${id}'), 'data', '${id}', 'r${++ids}', 0.10)`)
    .join(', ')}`;
const insert = (...subscriptions: string[]) => insertInto('records', ...subscriptions);

const sumOf = async (client: SqlClient, subscription: string): Promise<string | undefined> =>
  (
    await client.query<{ sum: string }>(
      `select records || ' for ' || total_price as sum from daily where subscription_id = '${subscription}'`,
    )
  ).rows[0]?.sum;

const rawOf = async (client: SqlClient, subscription: string): Promise<string | undefined> =>
  (
    await client.query<{ sum: string }>(
      `select count(*) || ' for ' || sum(price) as sum from records where subscription_id = '${subscription}'`,
    )
  ).rows[0]?.sum;

/** Two transactions that write the same two keys in opposite order. @returns how they ended */
async function crossing({ a, b }: { a: SqlClient; b: SqlClient }, look: SqlClient): Promise<string[]> {
  await a.query('begin');
  await b.query('begin');
  await a.query(insert('S1'));
  await b.query(insert('S2'));
  const first = a.query(insert('S2'));
  await Promise.race([untilWaiting(look), first]);
  const second = b.query(insert('S1'));
  const endings = await Promise.allSettled([first, second]);
  await Promise.all([a.query('commit'), b.query('commit')]);
  return endings.map((ending) =>
    ending.status === 'fulfilled' ? 'written' : String((ending.reason as { code?: string }).code),
  );
}

const deadlock = '40P01';

describe('signals', () => {
  async function prepared() {
    const { a, b } = await given('signals');
    for (const client of [a, b]) await client.query(classic('signals'));
    return { a, b };
  }
  /** What the application does after it wrote the raw row, up to the write. */
  async function readAndAdd(client: SqlClient): Promise<string> {
    const { rows } = await client.query<{ records: string; total_used: string; total_price: string }>(
      `execute signal_read('S1', 'data', '${day}')`,
    );
    const [sum] = rows;
    if (sum === undefined) return `execute signal_create_sum('S1', 'data', '${day}', 1, 10, 0.10)`;
    const records = Number(sum.records) + 1;
    return `execute signal_write_sum('S1', 'data', '${day}', ${records}, ${records * 10}, ${(records * 0.1).toFixed(2)})`;
  }

  test('lose an update when two read before one has written', async () => {
    const { a, b } = await prepared();
    await a.query(`execute signal_insert('S1', 'r0', 'data', '${day}', 10, 0.10)`);
    await a.query(await readAndAdd(a));
    for (const [client, id] of [
      [a, 'ra'],
      [b, 'rb'],
    ] as const) {
      await client.query('begin');
      await client.query(`execute signal_insert('S1', '${id}', 'data', '${day}', 10, 0.10)`);
    }
    const [ofA, ofB] = [await readAndAdd(a), await readAndAdd(b)];
    await a.query(ofA);
    await a.query('commit');
    await b.query(ofB);
    await b.query('commit');
    expect(await rawOf(a, 'S1')).toBe('3 for 0.30');
    expect(await sumOf(a, 'S1')).toBe('2 for 0.20');
  });

  test('fail when two create the first sum of a key', async () => {
    const { a, b } = await prepared();
    await a.query('begin');
    const [ofA, ofB] = [await readAndAdd(a), await readAndAdd(b)];
    await a.query(ofA);
    const second = b.query(ofB).catch((error: { code?: string }) => error.code);
    await untilWaiting(await connect('public'));
    await a.query('commit');
    expect(await second).toBe('23505');
  });
});

describe('row triggers', () => {
  test('are right where nobody crosses another', async () => {
    const { a } = await given('row-triggers');
    await a.query(insert('S1', 'S1', 'S2'));
    await a.query(`update records set price = 5.00 where subscription_id = 'S2'`);
    await a.query(
      `delete from records where record_id = (select min(record_id) from records where subscription_id = 'S1')`,
    );
    expect([await sumOf(a, 'S1'), await sumOf(a, 'S2')]).toEqual(['1 for 0.10', '1 for 5.00']);
  });

  test('deadlock when two transactions write the same keys in opposite order', async () => {
    const two = await given('row-triggers');
    expect((await crossing(two, await connect('public'))).sort()).toEqual([deadlock, 'written']);
  });

  test('deadlock within single statements, too', async () => {
    const { a, b } = await given('row-triggers');
    const look = await connect('public');
    await a.query(insert('S1', 'S2', 'S3'));
    // Somebody holds S2 for a moment, so that both are in the middle of their statement.
    const holder = await connect((await a.query<{ s: string }>('select current_schema() as s')).rows[0]?.s ?? '');
    await holder.query('begin');
    await holder.query(`select from daily where subscription_id = 'S2' for update`);
    const up = a.query(insert('S1', 'S2', 'S3'));
    await untilWaiting(look);
    const down = b.query(insert('S3', 'S2', 'S1'));
    await untilWaiting(look, 2);
    await holder.query('commit');
    const codes = (await Promise.allSettled([up, down])).map((one) =>
      one.status === 'fulfilled' ? 'written' : String((one.reason as { code?: string }).code),
    );
    expect(codes.sort()).toEqual([deadlock, 'written']);
  });

  test('let all writers of a key wait for one that has not committed', async () => {
    const { a, b } = await given('row-triggers');
    await a.query('begin');
    await a.query(insert('S1'));
    let written = false;
    const second = b.query(insert('S1')).then(() => {
      written = true;
    });
    await untilWaiting(await connect('public'));
    expect(written).toBe(false);
    await a.query('commit');
    await second;
    expect(await sumOf(a, 'S1')).toBe('2 for 0.20');
  });
});

describe('statement triggers', () => {
  test('are right, and one statement never deadlocks with another: each goes through its keys in order', async () => {
    const { a, b } = await given('statement-triggers');
    await Promise.all([a.query(insert('S1', 'S2', 'S3')), b.query(insert('S3', 'S2', 'S1'))]);
    await a.query(`update records set price = 5.00 where subscription_id = 'S2'`);
    await a.query(`delete from records where subscription_id = 'S3'`);
    expect([await sumOf(a, 'S1'), await sumOf(a, 'S2'), await sumOf(a, 'S3')]).toEqual([
      '2 for 0.20',
      '2 for 10.00',
      '0 for 0.00',
    ]);
  });

  test('deadlock when two transactions of several statements cross', async () => {
    const two = await given('statement-triggers');
    expect((await crossing(two, await connect('public'))).sort()).toEqual([deadlock, 'written']);
  });
});

describe('a view', () => {
  test('is right with any writers, and loses the history with the raw rows', async () => {
    const two = await given('view');
    expect(await crossing(two, await connect('public'))).toEqual(['written', 'written']);
    expect(await sumOf(two.a, 'S1')).toBe('2 for 0.20');
    await two.a.query('drop table records_default');
    expect(await sumOf(two.a, 'S1')).toBeUndefined();
  });
});

describe('a materialized view', () => {
  test('is stale until it is refreshed, and a refresh loses the history with the raw rows', async () => {
    const two = await given('materialized-view');
    expect(await crossing(two, await connect('public'))).toEqual(['written', 'written']);
    expect(await sumOf(two.a, 'S1')).toBeUndefined();
    await two.a.query('refresh materialized view daily');
    expect(await sumOf(two.a, 'S1')).toBe('2 for 0.20');
    await two.a.query('drop table records_default');
    await two.a.query('refresh materialized view daily');
    expect(await sumOf(two.a, 'S1')).toBeUndefined();
  });
});

describe('the ledger', async () => {
  const usage = await openUsage({
    db,
    clock: systemClock,
    logger: silentLogger,
    rawDays: 14,
    rollupPauseMs: 100,
    groupCommit: true,
  });
  afterAll(() => usage.drain());
  const today = new Date().toISOString().slice(0, 10);
  const document = (subscription: string, id: number) => ({
    record_id: `l${id}`,
    subscription_id: subscription,
    usage_type: 'data',
    used_at: `${today}T00:00:00Z`,
    used: 10,
    price: '0.10',
  });
  const total = async (subscription: string) =>
    (
      await db.query<{ sum: string }>({
        text: `select records || ' for ' || total_price as sum from usage_totals where subscription_id = $1`,
        values: [subscription],
      })
    )[0]?.sum;

  test('is right when many writers write the same keys in opposite order, while it is rolled up: nobody fails', async () => {
    let written = 0;
    let ended = false;
    const write = async (writer: number): Promise<void> => {
      for (let n = 0; n < 20; n++) {
        const keys = writer % 2 === 0 ? ['S1', 'S2', 'S3'] : ['S3', 'S2', 'S1'];
        const documents = keys.map((key, i) => document(key, writer * 1_000 + n * 10 + i));
        const { accepted } = await usage.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });
        written += accepted;
      }
    };
    const rollingUp = (async () => {
      while (!ended) await usage.rollup.once();
    })();
    await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
    ended = true;
    await rollingUp;
    await usage.rollup.once();
    expect(written).toBe(480);
    expect([await total('S1'), await total('S2'), await total('S3')]).toEqual([
      '160 for 16.00',
      '160 for 16.00',
      '160 for 16.00',
    ]);
  });

  test('keeps the sums when the raw rows are dropped', async () => {
    const before = await total('S1');
    await usage.rollup.once();
    await db.query({ text: `drop table usage_records_${today.replaceAll('-', '_')}`, values: [] });
    await usage.rollup.once();
    expect(await total('S1')).toBe(before);
    await usage.refreshHorizon();
  });

  // Triggers of a distributed table run on its shards, where the ledger is not: Citus has no direct writes.
  test.skipIf(onCitus)('with direct writes, two transactions that cross write both', async () => {
    await createDirectWrites({ db, clock: systemClock, isCitus: false }).enable('test');
    const [a, b] = [await connect('public'), await connect('public')];
    const direct = (subscription: string): string =>
      insertInto('usage_records', subscription)
        .replace('(batch_id, ', '(')
        .replace('(0, ', '(')
        .replaceAll(day, today)
        .replace('10:00Z', '00:00Z')
        .replace(`'r`, `'direct`);
    await a.query('begin');
    await b.query('begin');
    await a.query(direct('D1'));
    await b.query(direct('D2'));
    await a.query(direct('D2'));
    await b.query(direct('D1'));
    await a.query('commit');
    await usage.rollup.once();
    expect([await total('D1'), await total('D2')]).toEqual(['1 for 0.10', '1 for 0.10']);
    await b.query('commit');
    await usage.rollup.once();
    expect([await total('D1'), await total('D2')]).toEqual(['2 for 0.20', '2 for 0.20']);
  });
});
