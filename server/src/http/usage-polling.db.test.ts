import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { formatInstant, type Instant } from '../core/time.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { onCitus } from '../testing/on-citus.ts';
import { createTestClient } from '../testing/open-database.ts';
import { openTestApi } from '../testing/test-api.ts';
import { openUsageWorld, upload } from '../testing/usage-world.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const rounds = full ? 400 : 20;
const { app, server, databaseUrl } = await openTestApi({ database: { poolSize: 10, readClients: 2 } });
const db = createTestClient(databaseUrl, { poolSize: 6 });
const world = await openUsageWorld(databaseUrl, Date.now() as Instant, 14);
afterAll(async () => {
  await world.close();
  await db.close();
});

const dayMs = 86_400_000;
const dayAgo = (days: number): string => formatInstant((Date.now() - days * dayMs) as Instant);
// More than there are sums of days.
const limit = 200;
const period = `from=${dayAgo(6).slice(0, 10)}&to=${dayAgo(0).slice(0, 10)}`;

/** Records that were sent, whose answers have come, and how many of these had come at a moment. */
const progress = {
  begun: 0,
  acknowledged: 0,
  answers: [] as { readonly atMs: number; readonly acknowledged: number }[],
};
let isSending = true;

interface Sender {
  readonly name: string;
  readonly rows: number;
  readonly isBulk: boolean;
}

const recordsOf = (name: string, rows: number, subscriptions = 'S') =>
  Array.from({ length: rows }, (_, i) => ({
    record_id: `${name}-${i}`,
    subscription_id: `${subscriptions}${i % 3}`,
    usage_type: i % 2 === 0 ? 'data' : 'voice',
    used_at: dayAgo(1 + (i % 4)),
    used: 1,
    price: '0.01',
  }));

function acknowledge(rows: number): void {
  progress.acknowledged += rows;
  progress.answers.push({ atMs: Date.now(), acknowledged: progress.acknowledged });
}

async function sendAll({ name, rows, isBulk }: Sender): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const records = recordsOf(`${name}-${round}`, rows);
    // Some of what was sent before: it must not count again.
    const again = round === 0 ? [] : [{ ...records[0], record_id: `${name}-${round - 1}-0` }];
    progress.begun += rows;
    const answer = await server.fastify.inject({
      method: 'POST',
      url: `/api/v1/usage/records${isBulk ? '/bulk' : ''}`,
      headers: { 'content-type': isBulk ? 'application/x-ndjson' : 'application/json' },
      payload: isBulk
        ? [...records, ...again].map((record) => `${JSON.stringify(record)}\n`).join('')
        : JSON.stringify([...records, ...again]),
    });
    expect(answer.statusCode, answer.body).toBeLessThan(300);
    acknowledge(rows);
  }
}

// Batches of so many for each of these subscriptions and types.
const late = { subscriptions: 'late', share: 10, rows: 60 } as const;

/** By another server, whose transactions end after others that began later, or come to nothing first. */
async function sendLate(): Promise<void> {
  const { slow, holding } = world;
  for (let round = 0; round < rounds; round++) {
    const records = recordsOf(`late-${round}`, late.rows, late.subscriptions);
    const bytes = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    const options = { format: 'ndjson', producerKey: null, partLines: 20_000 } as const;
    if (round % 2 === 0) {
      const failed = await holding.hold(() => upload(slow, bytes, options));
      await expect(failed.end(round % 4 === 0 ? 'cut' : 'rollback')).rejects.toThrow();
    }
    progress.begun += late.rows;
    const held = await holding.hold(() => upload(slow, bytes, options));
    await world.other.rollup.once();
    await held.end('commit');
    acknowledge(late.rows);
  }
}

/** How many records had been acknowledged before a moment. */
const acknowledgedBefore = (atMs: number): number =>
  progress.answers.reduce((most, one) => (one.atMs < atMs ? Math.max(most, one.acknowledged) : most), 0);

interface Read {
  /** Records by subscription and type. */
  readonly sums: ReadonlyMap<string, number>;
  /** What it has to know of at least: records acknowledged before. */
  readonly atLeast: number;
}

/** Reads until all is told; no sum may go down or have a part of a batch, and none may have more than was sent or less than was promised. */
async function poll(name: string, read: () => Promise<Read>): Promise<{ name: string; reads: number; steps: number }> {
  let before = new Map<string, number>();
  let total = 0;
  let [reads, steps] = [0, 0];
  for (let isLast = false; !isLast; reads++) {
    isLast = !isSending;
    const { sums, atLeast } = await read();
    const begun = progress.begun;
    for (const [key, records] of before) {
      expect({ name, key, isDown: (sums.get(key) ?? 0) < records }).toEqual({ name, key, isDown: false });
    }
    for (const [key, records] of sums) {
      const isWhole = !key.startsWith(late.subscriptions) || records % late.share === 0;
      expect({ name, key, records, isWhole }).toEqual({ name, key, records, isWhole: true });
    }
    const now = [...sums.values()].reduce((sum, n) => sum + n, 0);
    if (now > begun || now < atLeast)
      expect({ name, now, atLeast, begun }).toBe('between what was acknowledged and sent');
    if (now > total) steps++;
    total = now;
    before = new Map(sums);
  }
  return { name, reads, steps };
}

interface Row {
  readonly key: string;
  readonly records: bigint;
  readonly used: string;
  readonly price: string;
}

/** Straight from the tables, on one server both in one snapshot: the totals are always the sum of the days. */
async function readTables(): Promise<Read> {
  const rows = await db.query(
    dynamic<Row & { table: string }>(sql`
      select 'totals' as table, subscription_id || ' ' || usage_type as key, records, total_used::text as used, total_price::text as price
        from usage_totals
      union all
      select 'daily', subscription_id || ' ' || usage_type, sum(records)::bigint, sum(total_used)::text, sum(total_price)::text
        from usage_daily group by 1, 2`),
  );
  const of = (table: string) =>
    rows
      .filter((row) => row.table === table)
      .map(({ key, records, used, price }) => [key, records, used, price].join(' '))
      .sort();
  // Citus reads the two one after another: no statement over all shards is of one moment there.
  if (!onCitus) expect(of('daily')).toEqual(of('totals'));
  const totals = rows.filter(({ table }) => table === 'totals');
  for (const { records, used, price } of totals)
    expect([used, price]).toEqual([String(records), (Number(records) / 100).toFixed(2)]);
  return { sums: new Map(totals.map(({ key, records }) => [key, Number(records)])), atLeast: 0 };
}

interface Sum {
  readonly subscription_id: string;
  readonly usage_type: string;
  readonly total_price: string;
  readonly total_used: string;
  readonly records: number;
}

const toRead = (items: readonly Sum[], atLeast: number): Read => {
  const sums = new Map<string, number>();
  for (const { subscription_id, usage_type, total_price, total_used, records } of items) {
    expect([total_price, total_used]).toEqual([(records / 100).toFixed(2), String(records)]);
    const key = `${subscription_id} ${usage_type}`;
    sums.set(key, (sums.get(key) ?? 0) + records);
  }
  return { sums, atLeast };
};

/** By the API; `as_of` is a promise: everything acknowledged before is in it. With `fresh` everything acknowledged before the question is. */
const readMetrics = (more: string) => async (): Promise<Read> => {
  const { acknowledged } = progress;
  const answer = await server.fastify.inject({
    method: 'GET',
    url: `/api/v1/usage/metrics?${period}&limit=${limit}${more}`,
  });
  expect(answer.statusCode, answer.body).toBe(200);
  const { items, as_of: asOf } = answer.json() as { items: Sum[]; as_of: string };
  return toRead(items, more.includes('fresh') ? acknowledged : acknowledgedBefore(Date.parse(asOf)));
};

async function readStream(): Promise<Read> {
  const answer = await server.fastify.inject({
    method: 'GET',
    url: `/api/v1/usage/metrics?${period}&fresh=true`,
    headers: { accept: 'application/x-ndjson' },
  });
  expect(answer.statusCode, answer.body).toBe(200);
  const lines = answer.body.split('\n').filter((line) => line !== '');
  return toRead(
    lines.map((line) => JSON.parse(line) as Sum),
    0,
  );
}

/** Whoever has used for a cent or more: everybody, with the sums of the totals. */
const readOverLimit = (more: string) => async (): Promise<Read> => {
  const { acknowledged } = progress;
  const answer = await server.fastify.inject({
    method: 'GET',
    url: `/api/v1/usage/over-limit?price_limit=0.01${more}`,
  });
  expect(answer.statusCode, answer.body).toBe(200);
  const { items } = answer.json() as {
    items: { subscription_id: string; exceeded: { usage_type: string; total_price: string }[] }[];
  };
  const sums = items.flatMap(({ subscription_id, exceeded }) =>
    exceeded.map(
      ({ usage_type, total_price }) =>
        [`${subscription_id} ${usage_type}`, Math.round(Number(total_price) * 100)] as const,
    ),
  );
  return { sums: new Map(sums), atLeast: more.includes('fresh') ? acknowledged : 0 };
};

test(
  'whoever polls sums while usage comes in and is rolled up never sees one go down, or more than was sent',
  async () => {
    const rollingUp = [app.usage, world.usage].map(async (usage) => {
      let reports = 0;
      while (isSending) {
        reports += (await usage.rollup.once()).batches;
        await delay(20);
      }
      return reports;
    });
    const polling = Promise.all([
      poll('tables', readTables),
      poll('metrics', readMetrics('')),
      poll('metrics by day', readMetrics('&group_by=day')),
      poll('metrics, fresh', readMetrics('&fresh=true')),
      poll('metrics by day, fresh', readMetrics('&group_by=day&fresh=true')),
      poll('stream, fresh', readStream),
      poll('over-limit', readOverLimit('')),
      poll('over-limit of a period', readOverLimit(`&${period}`)),
      poll('over-limit, fresh', readOverLimit('&fresh=true')),
    ]);
    const sending = Promise.all([
      sendAll({ name: 'one', rows: 1, isBulk: false }),
      sendAll({ name: 'few', rows: 13, isBulk: false }),
      sendAll({ name: 'many', rows: 200, isBulk: false }),
      sendAll({ name: 'bulk', rows: 700, isBulk: true }),
      sendAll({ name: 'bulk-2', rows: 300, isBulk: true }),
      sendLate(),
    ]);
    const [, batches] = await Promise.all([
      sending.finally(() => {
        isSending = false;
      }),
      Promise.all(rollingUp),
      polling,
    ]);
    const polled = await polling;
    console.log(
      `${progress.acknowledged} records, ${batches.join(' + ')} batches rolled up by two; reads/steps seen: ${polled.map(({ name, reads, steps }) => `${name} ${reads}/${steps}`).join(', ')}`,
    );
    await app.usage.rollup.once();
    expect(progress.acknowledged).toBe(progress.begun);
    for (const read of [readTables, readMetrics(''), readMetrics('&fresh=true'), readOverLimit('')]) {
      const { sums } = await read();
      expect([...sums.values()].reduce((sum, n) => sum + n, 0)).toBe(progress.begun);
    }
    // It was polled while something happened.
    for (const { steps } of polled) expect(steps).toBeGreaterThan(2);
  },
  full ? 1_800_000 : 240_000,
);
