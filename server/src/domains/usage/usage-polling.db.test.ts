import { afterAll, expect, test } from 'vitest';
import { type Day, parseDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { testDatabase } from '../../testing/test-database.ts';
import { openUsageWorld, upload } from '../../testing/usage-world.ts';
import type { Decimal } from './usage.ts';

const { url } = await testDatabase();
const now = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
const world = await openUsageWorld(url, now, 10);
const { usage, other, slow, holding } = world;
afterAll(() => world.close());

const days = { from: parseDay('2026-11-01') as Day, to: parseDay('2026-11-30') as Day };
const subscriptions = 7;
const batchRows = 60;
const batches = 90;
const writers = 3;

/** Records with names of their own, each 0.01 and 1 of the unit, over all subscriptions and five days. */
const rowsOf = (batch: number) =>
  Array.from({ length: batchRows }, (_, i) => ({
    record_id: `b${batch}-${i}`,
    subscription_id: `S${i % subscriptions}`,
    usage_type: 'data',
    used_at: `2026-11-1${5 + (i % 5)}T10:00:00Z`,
    used: 1,
    price: '0.01',
  }));

/** How often one subscription stands in a batch. */
const shareOf = (subscription: number) => rowsOf(0).filter((row) => row.subscription_id === `S${subscription}`).length;

/** Records of one subscription: what was acknowledged, and what may be stored already. */
const counts = { sent: 0, stored: 0 };

/** What each way to ask says of one subscription, as a number of records. */
async function readings(subscription: number, fresh: boolean): Promise<readonly [string, number][]> {
  const subscriptionId = `S${subscription}`;
  const recency = { fresh, waitFor: null };
  const selection = { days, usageType: null, subscriptionId };
  const { items } = await usage.metrics({ selection, byDay: false, ...recency }, { after: null, limit: 10 });
  const byDay = await usage.metrics({ selection, byDay: true, ...recency }, { after: null, limit: 50 });
  const limit = { priceLimit: '0.01' as Decimal, ...recency };
  const ever = await other.overLimit({ selection: { ...selection, days: null }, ...limit }, { after: null, limit: 10 });
  const sum = items[0];
  if (sum !== undefined) {
    // All of a sum is of one moment.
    expect(Number(sum.totalUsed)).toBe(Number(sum.records));
    expect(Math.round(Number(sum.totalPrice) * 100)).toBe(Number(sum.records));
  }
  return [
    ['metrics', Number(sum?.records ?? 0n)],
    ['metrics by day', byDay.items.reduce((n, { records }) => n + Number(records), 0)],
    ['over limit', Math.round(Number(ever.items[0]?.exceeded[0]?.totalPrice ?? '0') * 100)],
  ];
}

/** Asks until all is written; each reading lies between what was known to be stored and what was sent, and none goes down. */
async function poll(subscription: number, fresh: boolean, isDone: () => boolean): Promise<void> {
  const share = shareOf(subscription);
  const last = new Map<string, number>();
  while (!isDone()) {
    const storedBefore = counts.stored * share;
    const found = await readings(subscription, fresh);
    const sentAfter = counts.sent * share;
    for (const [name, records] of found) {
      expect(records, `${name} goes down`).toBeGreaterThanOrEqual(last.get(name) ?? 0);
      expect(records, `${name} overshoots`).toBeLessThanOrEqual(sentAfter);
      if (fresh) expect(records, `${name} lacks what was acknowledged`).toBeGreaterThanOrEqual(storedBefore);
      // Whole batches only.
      expect(records % share, `${name} has a part of a batch`).toBe(0);
      last.set(name, records);
    }
  }
}

test('a reader never sees a sum go down, overshoot or hold a part of a batch while usage comes in and is rolled up', async () => {
  let isDone = false;
  const rollups = [usage, other].map((server) => server.rollup.start());
  const readers = [poll(0, true, () => isDone), poll(1, false, () => isDone), poll(6, true, () => isDone)];
  const writing = Array.from({ length: writers }, async (_, writer) => {
    for (let batch = writer; batch < batches; batch += writers) {
      const rows = rowsOf(batch);
      const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      const options = { format: 'ndjson' as const, producerKey: null, partLines: 20_000 };
      counts.sent++;
      if (batch % 5 === 0) {
        // Others commit before it, and some of these transactions come to nothing first.
        if (batch % 10 === 0) {
          const failed = await holding.hold(() => upload(slow, bytes, options));
          await expect(failed.end(batch % 20 === 0 ? 'cut' : 'rollback')).rejects.toThrow();
        }
        const held = await holding.hold(() => upload(slow, bytes, options));
        await usage.rollup.once();
        await held.end('commit');
      } else await upload(batch % 2 === 0 ? usage : other, bytes, options);
      counts.stored++;
      // Sent again, it changes nothing.
      const documents = rows.slice(0, 10);
      await usage.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });
    }
  });
  const written = Promise.allSettled(writing).then((ends) => {
    isDone = true;
    return ends;
  });
  const ends = [...(await Promise.allSettled(readers)), ...(await written)];
  for (const rollup of rollups) await rollup.close();
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  await usage.rollup.once();
  for (const [name, records] of await readings(2, false))
    expect(`${name} ${records}`).toBe(`${name} ${batches * shareOf(2)}`);
}, 120_000);
