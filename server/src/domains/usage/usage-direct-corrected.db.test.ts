import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { type Day, dayOf, daysBetween, parseDay } from '../../core/days.ts';
import { systemClock } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { sqlClients, untilWaiting } from '../../testing/sql-clients.ts';
import { testDatabase } from '../../testing/test-database.ts';
import { openUsageWorld } from '../../testing/usage-world.ts';
import type { Decimal } from './usage.ts';
import { compareDay, compareTotals } from './usage-compare-queries.ts';
import type { RecordChange } from './usage-correction.ts';
import { createDirectWrites } from './usage-direct-writes-service.ts';

const { url } = await testDatabase();
const world = await openUsageWorld(url, systemClock.now(), 10);
const { usage, slow, holding, db } = world;
const { connect } = sqlClients(url);
const [client, watcher] = [await connect(), await connect()];
afterAll(() => world.close());
const directWrites = createDirectWrites({ db, clock: systemClock, isCitus: false });

const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
const ofA = { subscriptionId: 'S1', recordId: 'a', day: parseDay(yesterday) ?? (0 as Day) };

const correct = (revision: number, change: RecordChange, via = usage) =>
  via.correct({ identity: ofA, revision, change, reason: null, actor: 'test' });

/** `records used price` of the one subscription. */
async function sum(): Promise<string | undefined> {
  await usage.rollup.once();
  const [row] = await db.query(
    dynamic<{ sum: string }>(
      sql`select records || ' ' || total_used || ' ' || trim_scale(total_price) as sum from usage_totals`,
    ),
  );
  return row?.sum;
}

/** As `verify usage` counts them. */
async function differences(): Promise<bigint> {
  const { rawFrom } = await usage.horizon();
  let found = (await db.query(compareTotals('', null)))[0]?.differences ?? 0n;
  for (const day of daysBetween(rawFrom, dayOf(systemClock.now())))
    found += (await db.query(compareDay(day)))[0]?.differences ?? 0n;
  return found;
}

const refused = /record a of S1 on .* was corrected through the API/;
const changes = {
  UPDATE: 'update usage_records set price = 9',
  'UPDATE to another day': `update usage_records set day = day - 1, used_at = used_at - interval '1 day'`,
  DELETE: 'delete from usage_records',
  'ON CONFLICT DO UPDATE': `insert into usage_records (used, used_at, day, usage_type, subscription_id, record_id, price)
     select used, used_at, day, usage_type, subscription_id, record_id, 9 from usage_records where record_id = 'a'
     on conflict (bucket, subscription_id, record_id, day) do update set price = excluded.price`,
} as const;

beforeEach(async () => {
  await directWrites.disable('test');
  await world.reset();
  const record = { subscription_id: 'S1', usage_type: 'data', used_at: `${yesterday}T10:00:00Z`, used: 10, price: '1' };
  const documents = ['a', 'b'].map((record_id) => ({ ...record, record_id }));
  await usage.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });
});

// Citus has no direct writes (usage-direct-writes.db.test.ts).
describe.skipIf(onCitus)('a raw row that was corrected through the API', () => {
  const moments = ['before the rollup', 'after the rollup'] as const;
  const cases = moments.flatMap((moment) =>
    Object.entries(changes).map(([name, text]) => [name, moment, text] as const),
  );
  test.for(cases)(
    '%s of it %s is refused, with all that its statement does, and nothing is lost',
    async ([, moment, text]) => {
      if (moment === 'after the rollup') await usage.rollup.once();
      // Before direct writes were enabled, and since.
      await correct(1, { price: '5' as Decimal });
      await directWrites.enable('test');
      await correct(2, { used: 20n });
      if (moment === 'after the rollup') await usage.rollup.once();
      await expect(client.query(text)).rejects.toThrow(refused);
      expect(await sum()).toBe('2 30 6');
      expect(await differences()).toBe(0n);
      // Others may be changed, and this one through the API.
      await client.query(`update usage_records set price = 3 where record_id = 'b'`);
      await correct(3, { deleted: true });
      expect(await sum()).toBe('1 10 3');
      expect(await differences()).toBe(0n);
    },
  );

  test('is refused as well while the correction is under way', async () => {
    await directWrites.enable('test');
    const held = await holding.hold(() => correct(1, { price: '5' as Decimal }, slow));
    const updated = expect(client.query(changes.UPDATE)).rejects.toThrow(refused);
    await untilWaiting(watcher);
    await held.end('commit');
    await updated;
    expect(await sum()).toBe('2 20 6');
    expect(await differences()).toBe(0n);
  });

  test('and was changed directly before counts as what it was changed to', async () => {
    await directWrites.enable('test');
    await usage.rollup.once();
    await client.query('begin');
    await client.query(`update usage_records set price = 3 where record_id = 'a'`);
    const correcting = correct(1, { used: 50n });
    await untilWaiting(watcher);
    await client.query('commit');
    await correcting;
    expect(await sum()).toBe('2 60 4');
    expect(await differences()).toBe(0n);
  });
});
