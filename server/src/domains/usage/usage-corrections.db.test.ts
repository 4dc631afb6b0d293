import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { type Day, dayOf, parseDay } from '../../core/days.ts';
import { silentLogger } from '../../core/ports.ts';
import { type Instant, minuteMs } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testDatabase } from '../../testing/test-database.ts';
import { openUsageWorld } from '../../testing/usage-world.ts';
import type { Decimal } from './usage.ts';
import type { Adjustment } from './usage-adjustment.ts';
import type { RecordChange } from './usage-correction.ts';
import { openUsage } from './usage-service.ts';

const { url } = await testDatabase();
const now = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
const world = await openUsageWorld(url, now, 10);
const { usage, other, db } = world;
afterAll(() => world.close());
beforeEach(() => world.reset());

const day = (text: string): Day => parseDay(text) as Day;
const price = (text: string): Decimal => text as Decimal;
const identity = { subscriptionId: 'S1', recordId: 'r1', day: day('2026-11-20') };

const sent = (more: Record<string, unknown> = {}) => ({
  record_id: 'r1',
  subscription_id: 'S1',
  usage_type: 'data',
  used_at: '2026-11-20T10:00:00Z',
  used: 100,
  price: '1.25',
  ...more,
});

const send = (documents: readonly unknown[], via = usage) =>
  via.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });

const correct = (
  revision: number,
  change: RecordChange,
  { via = usage, of = identity, reason = null as string | null } = {},
) => via.correct({ identity: of, revision, change, reason, actor: 'key 1' });

const adjustment = (more: Partial<Adjustment> = {}): Adjustment => ({
  subscriptionId: 'S1',
  adjustmentId: 'a1',
  usageType: 'data',
  day: day('2026-10-01'),
  usedDelta: 100n,
  priceDeltaMicros: 1_000_000n,
  reason: 'settled',
  ...more,
});

const refused = (code: string, facts: object = {}) =>
  expect.objectContaining({ code, facts: expect.objectContaining(facts) });

/** Sums of all days as both ways to read say: `S1 data 2026-11-20 1 100 1.25`. */
async function sums(fresh: boolean): Promise<string[]> {
  const days = { from: day('2000-01-01'), to: day('2026-12-31') };
  const selection = { days, usageType: null, subscriptionId: null };
  const { items } = await usage.metrics({ selection, byDay: true, fresh, waitFor: null }, { after: null, limit: 500 });
  return items.map(
    ({ subscriptionId, usageType, day: on, records, totalUsed, totalPrice }) =>
      `${subscriptionId} ${usageType} ${on === null ? '' : new Date(on * 86_400_000).toISOString().slice(0, 10)} ${records} ${totalUsed} ${totalPrice}`,
  );
}

const drop = (before: string) => usage.dropRaw({ before: day(before), actor: 'test' });

describe('a correction', () => {
  test('counts at once when read fresh and with the next rollup otherwise, before and after the rollup of its record', async () => {
    await send([sent()]);
    await correct(1, { price: price('1.00') });
    expect(await sums(true)).toEqual(['S1 data 2026-11-20 1 100 1.00']);
    expect(await sums(false)).toEqual([]);
    await usage.rollup.once();
    await correct(2, { usageType: 'voice', used: 7n });
    expect(await sums(true)).toEqual(['S1 voice 2026-11-20 1 7 1.00']);
    expect(await sums(false)).toEqual(['S1 data 2026-11-20 1 100 1.00']);
    await correct(3, { subscriptionId: 'S2', usedAt: Date.parse('2024-02-29T23:59:59.999Z') as Instant });
    await usage.rollup.once();
    expect(await sums(false)).toEqual(['S2 voice 2024-02-29 1 7 1.00']);
    await correct(4, { deleted: true });
    expect(await sums(true)).toEqual([]);
    await usage.rollup.once();
    expect(await sums(false)).toEqual([]);
    await correct(5, { deleted: false });
    expect(await sums(true)).toEqual(['S2 voice 2024-02-29 1 7 1.00']);
  });

  test('is told with its revisions, as it was sent, and who did it why', async () => {
    await send([sent()]);
    const first = await usage.getRecord(identity);
    expect(first).toMatchObject({ revision: 0, state: { used: 100n, price: '1.25', deleted: false }, revisions: [] });
    const { batchId } = await correct(1, { used: 2n ** 60n }, { reason: 'a slip' });
    expect(await usage.getRecord(identity)).toMatchObject({
      revision: 1,
      batchId,
      state: { used: 2n ** 60n, price: '1.25' },
      sent: { used: 100n, price: '1.25' },
      revisions: [{ revision: 1, reason: 'a slip', actor: 'key 1', recordedAt: now, batchId }],
    });
    const [entry, ...more] = await db.query(dynamic<object>(sql`select actor, action, subject, facts from audit_log`));
    expect(more).toEqual([]);
    expect(entry).toEqual({
      actor: 'key 1',
      action: 'usage.correct',
      subject: '["S1","r1","2026-11-20"]',
      facts: {
        revision: 1,
        before: {
          subscription_id: 'S1',
          usage_type: 'data',
          used_at: '2026-11-20T10:00:00.000Z',
          used: '100',
          price: '1.25',
        },
        after: {
          subscription_id: 'S1',
          usage_type: 'data',
          used_at: '2026-11-20T10:00:00.000Z',
          used: '1152921504606846976',
          price: '1.25',
        },
        reason: 'a slip',
        batch_id: String(batchId),
      },
    });
  });

  test('that says the same again, however it is written, is a replay; with another content it is refused', async () => {
    await send([sent()]);
    const made = await correct(1, { price: price('0.2') });
    const { used } = await correct(2, { used: 5n }).then(({ state }) => state);
    expect(used).toBe(5n);
    expect(await correct(1, { price: price('0.200') })).toEqual({ ...made, replayed: true });
    await expect(correct(1, { price: price('0.21') })).rejects.toEqual(refused('usage_key_reused'));
    await expect(correct(1, { price: price('0.2') }, { reason: 'why' })).rejects.toEqual(refused('usage_key_reused'));
    await expect(correct(4, { used: 6n })).rejects.toEqual(refused('usage_revision_conflict', { revision: 2 }));
    expect(await sums(true)).toEqual(['S1 data 2026-11-20 1 5 0.20']);
  });

  test('outlives its record being sent again: the first one wins', async () => {
    await send([sent()]);
    await correct(1, { deleted: true });
    expect(await send([sent(), sent({ used: 1 })])).toMatchObject({ accepted: 0, duplicates: 2 });
    await expect(correct(2, { used: 1n })).rejects.toEqual(refused('usage_record_deleted', { revision: 1 }));
    await expect(correct(2, { deleted: true })).rejects.toEqual(refused('usage_record_deleted'));
    expect(await sums(true)).toEqual([]);
  });

  test('of what was never sent, to an unknown type, ahead of the clock or before all sums is refused', async () => {
    await send([sent()]);
    for (const of of [
      { ...identity, recordId: 'r2' },
      { ...identity, subscriptionId: 'S2' },
      { ...identity, day: day('2026-11-19') },
      { ...identity, day: day('2030-01-01') },
    ])
      await expect(correct(1, { used: 1n }, { of })).rejects.toEqual(refused('usage_record_not_found'));
    await expect(correct(1, { usageType: 'fax' })).rejects.toEqual(refused('usage_type_unknown'));
    await expect(correct(1, { usedAt: (now + 5 * minuteMs + 1) as Instant })).rejects.toEqual(refused('in_future'));
    await expect(correct(1, { usedAt: Date.parse('1999-12-31T23:59:59.999Z') as Instant })).rejects.toEqual(
      refused('too_old'),
    );
    expect(await correct(1, { usedAt: (now + 5 * minuteMs) as Instant })).toMatchObject({ revision: 1 });
  });

  test('whose COMMIT is lost is written once, whether or not it was carried out', async () => {
    await send([sent()]);
    for (const [revision, when] of [
      [1, 'before'],
      [2, 'after'],
    ] as const) {
      world.cutter.cutNextCommit(when);
      await correct(revision, { used: BigInt(revision) }, { via: world.fragile });
      expect(await sums(true)).toEqual([`S1 data 2026-11-20 1 ${revision} 1.25`]);
    }
    expect((await usage.getRecord(identity)).revisions).toHaveLength(2);
  });
});

describe('the drop of a raw day', () => {
  test('ends corrections of its records; those that were made are still answered as replays', async () => {
    await send([sent()]);
    const made = await correct(1, { used: 5n });
    expect((await drop('2026-11-21')).refused).toBeNull();
    expect(await correct(1, { used: 5n })).toEqual({ ...made, replayed: true });
    await expect(correct(1, { used: 6n })).rejects.toEqual(refused('usage_key_reused'));
    await expect(correct(2, { used: 6n })).rejects.toEqual(refused('raw_dropped', { raw_from: '2026-11-21' }));
    await expect(usage.getRecord(identity)).rejects.toEqual(refused('raw_dropped'));
    expect(await sums(false)).toEqual(['S1 data 2026-11-20 1 5 1.25']);
  });

  test('waits for a correction that is under way, and the next one comes too late', async () => {
    await send([sent()]);
    const held = await world.holding.hold(() => correct(1, { used: 5n }, { via: world.slow }));
    const dropping = drop('2026-11-21');
    await waitsForLock('usage_horizon');
    // It comes before the horizon is moved, or behind.
    const late = correct(2, { used: 6n }).then(
      () => '6',
      (error: unknown) => {
        expect(error).toEqual(refused('raw_dropped'));
        return '5';
      },
    );
    await held.end('commit');
    expect((await dropping).refused).toBeNull();
    const last = await late;
    expect(await sums(false)).toEqual([`S1 data 2026-11-20 1 ${last} 1.25`]);
  });

  test('of the day it was moved to leaves a record to be corrected, and its sums right', async () => {
    await send([sent()]);
    await correct(1, { usedAt: Date.parse('2026-11-15T00:00:00Z') as Instant });
    expect((await drop('2026-11-18')).refused).toBeNull();
    await correct(2, { used: 30n });
    expect(await sums(true)).toEqual(['S1 data 2026-11-15 1 30 1.25']);
    await correct(3, { usedAt: Date.parse('2026-11-19T00:00:00Z') as Instant });
    expect((await drop('2026-11-21')).refused).toBeNull();
    expect(await sums(false)).toEqual(['S1 data 2026-11-19 1 30 1.25']);
  });
});

describe('an adjustment', () => {
  test('takes the place of corrections where raw rows are gone, and only there', async () => {
    await send([sent()]);
    const gone = { day: identity.day, usedDelta: -40n, priceDeltaMicros: -250_000n };
    await expect(usage.adjust(adjustment(gone), 'key 1')).rejects.toEqual(
      refused('raw_kept', { raw_from: '2026-11-11' }),
    );
    await drop('2026-11-21');
    await usage.adjust(adjustment(gone), 'key 1');
    expect(await sums(true)).toEqual(['S1 data 2026-11-20 1 60 1.00']);
    await usage.rollup.once();
    expect(await sums(false)).toEqual(['S1 data 2026-11-20 1 60 1.00']);
  });

  test('is known by its id: at once on two servers, again, and with another content', async () => {
    const answers = await Promise.all([usage, other, usage, other].map((via) => via.adjust(adjustment(), 'key 1')));
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(new Set(answers.map(({ batchId }) => batchId)).size).toBe(1);
    for (const more of [{ usedDelta: 101n }, { usageType: 'voice' }, { day: day('2026-10-02') }, { reason: 'other' }])
      await expect(usage.adjust(adjustment(more), 'key 1')).rejects.toEqual(refused('usage_key_reused'));
    await usage.adjust(adjustment({ subscriptionId: 'S2' }), 'key 1');
    expect(await sums(true)).toEqual(['S1 data 2026-10-01 0 100 1.00', 'S2 data 2026-10-01 0 100 1.00']);
    const entries = await db.query(dynamic<{ subject: string }>(sql`select subject from audit_log order by subject`));
    expect(entries.map(({ subject }) => subject)).toEqual(['["S1","a1"]', '["S2","a1"]']);
  });

  test('takes no more than there is, also when several take at once', async () => {
    await usage.adjust(adjustment(), 'key 1');
    const taking = (adjustmentId: string) => adjustment({ adjustmentId, usedDelta: -60n, priceDeltaMicros: 0n });
    const answers = await Promise.allSettled([
      usage.adjust(taking('t1'), 'key 1'),
      other.adjust(taking('t2'), 'key 1'),
      usage.adjust(taking('t3'), 'key 1'),
    ]);
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const answer of answers)
      if (answer.status === 'rejected')
        expect(answer.reason).toEqual(refused('usage_below_zero', { total_used: '40', total_price: '1.00' }));
    expect(await sums(true)).toEqual(['S1 data 2026-10-01 0 40 1.00']);
  });

  test('and a correction together take no more than there is', async () => {
    await send([sent()]);
    await correct(1, { usedAt: Date.parse('2026-10-01T00:00:00Z') as Instant });
    const answers = await Promise.allSettled([
      other.adjust(adjustment({ usedDelta: -1n, priceDeltaMicros: 0n }), 'key 1'),
      correct(2, { deleted: true }),
    ]);
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const isDeleted = answers[1].status === 'fulfilled';
    expect(await sums(true)).toEqual(isDeleted ? [] : ['S1 data 2026-10-01 1 99 1.25']);
  });
});

test('what a correction takes away is in the sums before it, also when the clock of its server is behind', async () => {
  await send([sent()]);
  const late = await openUsage({
    db,
    clock: { now: () => (now - 60 * minuteMs) as Instant },
    logger: silentLogger,
    rawDays: 10,
    rollupPauseMs: 100,
    groupCommit: true,
  });
  const { batchId } = await usage.getRecord(identity);
  const correction = await correct(1, { deleted: true }, { via: late });
  expect(correction.batchId).toBeGreaterThan(batchId);
  await late.drain();
});

test('corrections by many at once, under a rollup and records sent again, leave the sums that the records say', async () => {
  const records = Array.from({ length: 24 }, (_, i) => ({
    record_id: `r${i}`,
    subscription_id: `S${i % 3}`,
    usage_type: i % 2 === 0 ? 'data' : 'voice',
    used_at: `2026-11-${10 + (i % 10) + 1}T10:00:00Z`,
    used: i,
    price: `0.0${i % 10}`,
  }));
  await send(records);
  const seeds = [1, 2, 3, 5, 7, 11];
  let isDone = false;
  const rolling = (async () => {
    while (!isDone) await Promise.all([usage.rollup.once(), other.rollup.once()]);
  })();
  const work = records.map(async (record, i) => {
    const of = {
      subscriptionId: record.subscription_id,
      recordId: record.record_id,
      day: dayOf(Date.parse(record.used_at) as Instant),
    };
    for (const [n, seed] of seeds.entries()) {
      const chosen = (i * 31 + seed * 17) % 6;
      const change: RecordChange =
        [
          { used: BigInt(chosen * 1_000 + i) },
          { price: price(`${chosen}.${i}`) },
          { subscriptionId: `S${(i + 1) % 3}` },
          { usedAt: Date.parse(`2026-1${i % 2}-0${(i % 8) + 1}T00:00:00Z`) as Instant },
          { usageType: 'voice', deleted: false },
          { deleted: n % 2 === 0 },
        ][chosen] ?? {};
      const alive: RecordChange = 'deleted' in change ? change : { ...change, deleted: false };
      const both = await Promise.allSettled([usage, other].map((via) => correct(n + 1, alive, { via, of })));
      for (const one of both)
        if (one.status === 'rejected') expect(one.reason).toEqual(refused('usage_record_deleted'));
      // Deleting what is deleted is refused; the next revision is then another one.
      if (both.every(({ status }) => status === 'rejected')) await correct(n + 1, { used: 1n, deleted: false }, { of });
      await send([record]);
    }
  });
  await Promise.all(work);
  isDone = true;
  await rolling;
  await usage.rollup.once();
  expect(await db.query(dynamic(wrongSums))).toEqual([]);
  expect(await db.query(dynamic<{ n: bigint }>(sql`select count(*) as n from usage_corrections`))).toEqual([
    { n: 144n },
  ]);
});

// The truth is in the records themselves: the latest revision of each, or as it was sent.
const wrongSums = sql`
  with latest as (
    select distinct on (bucket, subscription_id, record_id, day) * from usage_corrections
     order by bucket, subscription_id, record_id, day, revision desc),
  truth as (
    select coalesce(c.new_subscription_id, r.subscription_id) as subscription_id, coalesce(c.new_usage_type, r.usage_type) as usage_type,
           coalesce((c.new_used_at at time zone 'UTC')::date, r.day) as day, coalesce(c.new_used, r.used) as used,
           coalesce(c.new_price, r.price) as price
      from usage_records r left join latest c using (bucket, subscription_id, record_id, day) where not coalesce(c.deleted, false)),
  wanted as (
    select subscription_id, usage_type, day, count(*) as n, sum(used) as u, sum(price) as p from truth group by grouping sets ((1, 2, 3), (1, 2))),
  present as (
    select subscription_id, usage_type, day, records, total_used, total_price from usage_daily where records > 0
    union all
    select subscription_id, usage_type, null, records, total_used, total_price from usage_totals where records > 0)
  select * from wanted w full join present p
      on (w.subscription_id, w.usage_type) = (p.subscription_id, p.usage_type) and coalesce(w.day, 'infinity') = coalesce(p.day, 'infinity')
   where (n, u, p.total_price) is distinct from (records, total_used, w.p)`;

/** Until somebody waits for a lock on the table. */
async function waitsForLock(table: string): Promise<void> {
  for (;;) {
    const rows = await db.query(
      dynamic(
        sql`select 1 from pg_locks where not granted and locktype = 'relation' and relation = ${table}::regclass`,
      ),
    );
    if (rows.length > 0) return;
  }
}
