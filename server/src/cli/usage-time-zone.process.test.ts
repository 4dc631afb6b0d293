import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../storage/database.ts';
import { acquireEmbedded, type EmbeddedServer } from '../storage/embedded/embedded-postgres.ts';
import { migrate } from '../storage/migrator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { type MilliardProcess, runMilliard, startMilliard } from '../testing/milliard-process.ts';
import { createTestClient } from '../testing/open-database.ts';

const dayMs = 86_400_000;
const dayText = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const midnightMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;
const [before, after] = [dayText(midnightMs - dayMs), dayText(midnightMs)];

// A moment, its UTC day, and what is stored of it: cut off behind the millisecond, never rounded.
const moments: readonly (readonly [string, string, string])[] = [
  [`${before}T23:59:59.999999Z`, before, `${before}T23:59:59.999Z`],
  [`${before}T23:59:59.9999999Z`, before, `${before}T23:59:59.999Z`],
  [`${after}T00:00:00Z`, after, `${after}T00:00:00.000Z`],
  [`${after}T00:00:00.000001Z`, after, `${after}T00:00:00.000Z`],
  // The same microseconds, told in other zones.
  [`${after}T13:59:59.999999+14:00`, before, `${before}T23:59:59.999Z`],
  [`${after}T14:00:00.000001+14:00`, after, `${after}T00:00:00.000Z`],
  [`${before}T20:29:59.999999-03:30`, before, `${before}T23:59:59.999Z`],
  [`${before}T20:30:00.000001-03:30`, after, `${after}T00:00:00.000Z`],
];

let dataDir: string;
let embedded: EmbeddedServer;
let db: Database;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'milliard-zone-'));
  embedded = await acquireEmbedded({ dataDir, purpose: 'time zone test' });
  await migrate({ url: embedded.url });
  db = createTestClient(embedded.url);
});
afterAll(async () => {
  await db.close();
  await embedded.release();
  await rm(dataDir, { recursive: true, force: true });
});

const columns = ['record_id', 'subscription_id', 'usage_type', 'used_at', 'used', 'price'] as const;
const recordsOf = (subscription: string) =>
  moments.map(([used_at], i) => ({
    record_id: `r${i}`,
    subscription_id: subscription,
    usage_type: 'data',
    used_at,
    used: 2 ** i,
    price: '0.10',
  }));

/** The records by every way in, each as a subscription of its own. */
async function send({ url }: MilliardProcess, zone: string): Promise<string[]> {
  const post = async (path: string, type: string, body: string): Promise<void> => {
    const answer = await fetch(`${url}/api/v1/usage/${path}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    const text = await answer.text();
    expect({ ok: answer.ok, text }).toEqual({ ok: true, text: expect.stringContaining('"rejected":[]') });
  };
  await post('records', 'application/json', JSON.stringify(recordsOf(`${zone} array`)));
  for (const record of recordsOf(`${zone} single`)) await post('records', 'application/json', JSON.stringify(record));
  const lines = recordsOf(`${zone} ndjson`).map((record) => `${JSON.stringify(record)}\n`);
  await post('records/bulk', 'application/x-ndjson', lines.join(''));
  const rows = recordsOf(`${zone} csv`).map((record) => `${columns.map((column) => record[column]).join(',')}\n`);
  await post('records/bulk', 'text/csv', `${columns.join(',')}\n${rows.join('')}`);
  return ['array', 'single', 'ndjson', 'csv'].map((way) => `${zone} ${way}`);
}

const sumOf = (day: string) => {
  const own = moments.flatMap(([, of], i) => (of === day ? [2 ** i] : []));
  const used = own.reduce((sum, n) => sum + n, 0);
  return { day, total_price: `0.${own.length}0`, total_used: String(used), records: own.length };
};

async function daysOf(url: string, subscription: string, fresh: boolean): Promise<unknown[]> {
  const query = new URLSearchParams({ from: before, to: after, group_by: 'day', subscription_id: subscription });
  if (fresh) query.set('fresh', 'true');
  const answer = await fetch(`${url}/api/v1/usage/metrics?${query}`);
  const { items } = (await answer.json()) as { items: Record<string, unknown>[] };
  return items.map(({ day, total_price, total_used, records }) => ({ day, total_price, total_used, records }));
}

test.each([
  ['Pacific/Kiritimati', 'America/St_Johns'],
  ['America/St_Johns', 'Pacific/Kiritimati'],
  ['UTC', 'Asia/Kathmandu'],
])('a server in %s and a database in %s give the days of UTC', async (zone, databaseZone) => {
  await db.query(
    dynamic(
      sql`do ${sql.lit(`begin execute format('alter database %I set timezone = %L', current_database(), '${databaseZone}'); end`)}`,
    ),
  );
  const env = { TZ: zone, PGTZ: databaseZone, MILLIARD_USAGE_ROLLUP_MS: '100' };
  const server = await startMilliard({ args: ['dev', '--data-dir', dataDir, '--no-sample-data'], env });
  try {
    const subscriptions = await send(server, zone);
    for (const subscription of subscriptions)
      expect(await daysOf(server.url, subscription, true)).toEqual([sumOf(before), sumOf(after)]);
    const rolledUp = await runMilliard({ args: ['usage', 'rollup', '--once', '--data-dir', dataDir], env });
    expect(rolledUp.code, rolledUp.stderr).toBe(0);
    for (const subscription of subscriptions) {
      expect(await daysOf(server.url, subscription, false)).toEqual([sumOf(before), sumOf(after)]);
      const stored = await db.query(
        dynamic<{ at: number; day: string }>(
          sql`select used_at as at, to_char(day, 'YYYY-MM-DD') as day from usage_records
            where subscription_id = ${subscription} order by record_id`,
        ),
      );
      expect(stored.map(({ at, day }) => [new Date(at).toISOString(), day])).toEqual(
        moments.map(([, day, kept]) => [kept, day]),
      );
    }
    // A correction finds the day that the record was counted on, and moves it over midnight.
    const [subscription = ''] = subscriptions;
    const path = `${encodeURIComponent(subscription)}/r0?day=${before}`;
    const moved = await fetch(`${server.url}/api/v1/usage/records/${path}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ revision: 1, used_at: `${after}T00:00:00.000001Z`, reason: 'test' }),
    });
    expect(moved.status, await moved.text()).toBeLessThan(300);
    const records = (await daysOf(server.url, subscription, true)) as { day: string; records: number }[];
    expect(records.map(({ day, records: n }) => [day, n])).toEqual([
      [before, sumOf(before).records - 1],
      [after, sumOf(after).records + 1],
    ]);
    expect(server.output()).not.toContain('not rolled up');
  } finally {
    await server.stop('SIGTERM');
  }
});
