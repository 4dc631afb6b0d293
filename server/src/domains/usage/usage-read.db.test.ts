import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { type Day, dayOf, formatDay } from '../../core/days.ts';
import { silentLogger } from '../../core/ports.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { formatAmount } from './decimal.ts';
import type { Decimal } from './usage.ts';
import type { OverLimit, Recency, SumKey, UsageSelection, UsageSum } from './usage-read.ts';
import { maxStreams } from './usage-read-service.ts';
import { openUsage } from './usage-service.ts';

const { db } = await openTestDatabase({ statementTimeoutMs: 30_000 });
const now = Date.parse('2026-11-21T12:00:00.000Z') as Instant;
const today = dayOf(now);
const usage = await openUsage({
  db,
  clock: { now: () => now },
  logger: silentLogger,
  rawDays: 40,
  rollupPauseMs: 100,
  groupCommit: true,
});
afterAll(() => usage.drain());
await usage.addType({ usageType: 'sms', unit: 'messages' });

const types = ['data', 'sms', 'voice'] as const;
// Ids that sort otherwise by UTF-16 than by bytes, and that JSON, CSV and COPY have to write with care.
const ids = ['a', 'B', 'é', '\uFFFD', '😀', `'"\\`, '=1+1', '-5', 'tab\tid', 'line\nid', 'a,b', '\\.', '\u0001\u0002'];
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What was added to a sum: by a record, or by an adjustment whose amounts have signs. */
interface Entry {
  readonly id: string;
  readonly type: (typeof types)[number];
  readonly daysAgo: number;
  readonly records: bigint;
  readonly used: bigint;
  readonly micros: bigint;
}

type Step =
  | { readonly kind: 'records' | 'adjustments'; readonly entries: readonly Entry[] }
  | { readonly kind: 'rollup' };

const entry = (signed: boolean) =>
  fc.record({
    id: fc.constantFrom(...ids),
    type: fc.constantFrom(...types),
    daysAgo: fc.integer({ min: 0, max: 35 }),
    records: signed ? fc.bigInt(-2n, 2n) : fc.constant(1n),
    used: fc.bigInt(signed ? -1_000n : 0n, 2n ** 63n - 1n),
    micros: fc.oneof(
      fc.bigInt(signed ? -3_000_000n : 0n, 3_000_000n),
      fc.constantFrom(0n, 10_000n, 100_000n, 200_000n, 999_999_999_999_999_999n),
    ),
  });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('records' as const), entries: fc.array(entry(false), { maxLength: 25 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('adjustments' as const),
      entries: fc.array(entry(true), { maxLength: 8 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'rollup' as const }) },
);

const priceText = (micros: bigint): Decimal => {
  const sign = micros < 0n ? '-' : '';
  const abs = micros < 0n ? -micros : micros;
  return `${sign}${abs / 1_000_000n}.${String(abs % 1_000_000n).padStart(6, '0')}` as Decimal;
};

let numbers = 0;
async function store(step: Exclude<Step, { kind: 'rollup' }>): Promise<void> {
  if (step.entries.length === 0) return;
  if (step.kind === 'records') {
    const documents = step.entries.map(({ id, type, daysAgo, used, micros }) => ({
      record_id: `r${++numbers}`,
      subscription_id: id,
      usage_type: type,
      used_at: new Date(now - daysAgo * dayMs).toISOString(),
      used: String(used),
      price: priceText(micros),
    }));
    const outcome = await usage.ingest({ documents, actor: 'test', producerKey: null, contentHash: null });
    expect(outcome).toMatchObject({ accepted: documents.length, rejected: [] });
    return;
  }
  // As corrections write them: under a batch of their own.
  const batchId = BigInt(++numbers);
  await db.transaction(async (tx) => {
    await tx.run(
      dynamic(sql`insert into usage_batches (batch_id, kind, actor, part, rows, first_day, last_day, created_at)
        values (${batchId}, 'adjustments', 'test', 1, ${step.entries.length}, ${formatDay((today - 35) as Day)}::date,
                ${formatDay(today)}::date, ${new Date(now)})`),
    );
    for (const { id, type, daysAgo, records, used, micros } of step.entries) {
      await tx.run(
        dynamic(sql`insert into usage_adjustments (batch_id, day, bucket, side, revision, records_delta, usage_type, subscription_id,
            source, reference, used_delta, price_delta, actor, recorded_at)
          values (${batchId}, ${formatDay((today - daysAgo) as Day)}::date, ${bucketOf(id)}, 0, 1, ${Number(records)}, ${type}, ${id},
            'adjustment', ${`x${++numbers}`}, ${String(used)}::numeric, ${priceText(micros)}::numeric, 'test', ${new Date(now)})`),
      );
    }
  });
}

const empty = () =>
  db.query({ text: 'truncate usage_records, usage_batches, usage_daily, usage_totals, usage_adjustments', values: [] });

/** Does the steps. @returns the entries that the sums have, and all of them */
async function play(steps: readonly Step[]): Promise<{ rolledUp: readonly Entry[]; all: readonly Entry[] }> {
  await empty();
  const all: Entry[] = [];
  let rolledUp: Entry[] = [];
  for (const one of steps) {
    if (one.kind === 'rollup') {
      await usage.rollup.once();
      rolledUp = [...all];
    } else {
      await store(one);
      all.push(...one.entries);
    }
  }
  return { rolledUp, all };
}

/** The sums by brute force. */
function sumsOf(entries: readonly Entry[], selection: UsageSelection, byDay: boolean): UsageSum[] {
  const sums = new Map<string, { key: SumKey; records: bigint; used: bigint; micros: bigint }>();
  for (const { id, type, daysAgo, records, used, micros } of entries) {
    const day = (today - daysAgo) as Day;
    const { days, usageType, subscriptionId } = selection;
    if (days !== null && (day < days.from || day > days.to)) continue;
    if (usageType !== null && type !== usageType) continue;
    if (subscriptionId !== null && id !== subscriptionId) continue;
    const key = { subscriptionId: id, usageType: type, day: byDay ? day : null };
    const name = JSON.stringify(key);
    const sum = sums.get(name) ?? { key, records: 0n, used: 0n, micros: 0n };
    sums.set(name, { key, records: sum.records + records, used: sum.used + used, micros: sum.micros + micros });
  }
  return [...sums.values()]
    .filter((sum) => sum.records !== 0n || sum.used !== 0n || sum.micros !== 0n)
    .map(({ key, records, used, micros }) => ({
      ...key,
      totalPrice: formatAmount(priceText(micros)),
      totalUsed: String(used),
      records,
    }))
    .sort(
      (a, b) =>
        byBytes(a.subscriptionId, b.subscriptionId) || byBytes(a.usageType, b.usageType) || (a.day ?? 0) - (b.day ?? 0),
    );
}

const microsOf = (amount: string): bigint => {
  const [whole = '', places = ''] = amount.split('.');
  return BigInt(whole + places.padEnd(6, '0'));
};

function overLimitOf(entries: readonly Entry[], selection: UsageSelection, limitMicros: bigint): OverLimit[] {
  const found = new Map<string, OverLimit['exceeded'][number][]>();
  for (const { subscriptionId, usageType, totalPrice } of sumsOf(entries, selection, false)) {
    const over = microsOf(totalPrice) - limitMicros;
    if (over < 0n) continue;
    const exceeded = found.get(subscriptionId) ?? [];
    exceeded.push({ usageType, totalPrice, exceededBy: formatAmount(priceText(over)) });
    found.set(subscriptionId, exceeded);
  }
  return [...found].map(([subscriptionId, exceeded]) => ({ subscriptionId, exceeded }));
}

/** All pages of a walk, one after another. */
async function walk<Item, Key>(
  read: (after: Key | null) => Promise<{ items: readonly Item[]; next: Key | null }>,
): Promise<Item[]> {
  const items: Item[] = [];
  let after: Key | null = null;
  do {
    const page: { items: readonly Item[]; next: Key | null } = await read(after);
    items.push(...page.items);
    after = page.next;
  } while (after !== null);
  return items;
}

const selection = (periodic: boolean) =>
  fc.record({
    days: (periodic ? fc.constant(true) : fc.boolean()).chain((has) =>
      has
        ? fc
            .tuple(fc.integer({ min: 0, max: 36 }), fc.integer({ min: 0, max: 36 }))
            .map(([a, b]) => ({ from: (today - Math.max(a, b)) as Day, to: (today - Math.min(a, b)) as Day }))
        : fc.constant(null),
    ),
    usageType: fc.option(fc.constantFrom(...types), { freq: 3 }),
    subscriptionId: fc.option(fc.constantFrom(...ids, 'nobody'), { freq: 3 }),
  });
const recency = (fresh: boolean): Recency => ({ fresh, waitFor: null });

interface MetricsCase {
  readonly selection: UsageSelection & { readonly days: { readonly from: Day; readonly to: Day } };
  readonly byDay: boolean;
}

describe('whatever was stored, rolled up and adjusted', () => {
  test('the sums are those of brute force, page by page and streamed, with and without the open batches', async () => {
    const cases = fc.array(
      fc.record({ selection: selection(true), byDay: fc.boolean(), limit: fc.integer({ min: 1, max: 9 }) }),
      {
        minLength: 3,
        maxLength: 6,
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 7 }), cases, async (steps, asked) => {
        const { rolledUp, all } = await play(steps);
        for (const { limit, ...one } of asked) {
          const { selection: selected, byDay } = one as MetricsCase;
          for (const fresh of [false, true]) {
            const query = { selection: selected, byDay, ...recency(fresh) };
            const expected = sumsOf(fresh ? all : rolledUp, selected, byDay);
            expect(await walk((after: SumKey | null) => usage.metrics(query, { after, limit }))).toEqual(expected);
            const { chunks } = await usage.streamMetrics(query, 'ndjson');
            const lines = (await text(chunks)).split('\n');
            expect(lines.pop()).toBe('');
            expect(lines.map((line) => JSON.parse(line))).toEqual(
              expected.map(({ subscriptionId, usageType, day, totalPrice, totalUsed, records }) => ({
                subscription_id: subscriptionId,
                usage_type: usageType,
                ...(day === null ? {} : { day: formatDay(day) }),
                total_price: totalPrice,
                total_used: totalUsed,
                records: Number(records),
              })),
            );
          }
        }
      }),
      { numRuns: 20 },
    );
  }, 120_000);

  test('those who reached a limit are those of brute force, with and without the open batches', async () => {
    const limits = fc.oneof(
      fc.bigInt(0n, 6_000_000n),
      fc.constantFrom(0n, 1n, 300_000n, 1_000_000n, 10n ** 18n, 10n ** 30n),
    );
    const cases = fc.array(
      fc.record({ selection: selection(false), micros: limits, limit: fc.integer({ min: 1, max: 5 }) }),
      {
        minLength: 3,
        maxLength: 6,
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 7 }), cases, async (steps, asked) => {
        const { rolledUp, all } = await play(steps);
        for (const { selection: selected, micros, limit } of asked) {
          for (const fresh of [false, true]) {
            const query = { selection: selected, priceLimit: priceText(micros), ...recency(fresh) };
            expect(await walk((after: string | null) => usage.overLimit(query, { after, limit }))).toEqual(
              overLimitOf(fresh ? all : rolledUp, selected, micros),
            );
          }
        }
      }),
      { numRuns: 20 },
    );
  }, 120_000);
});

const one = (more: Partial<Entry> = {}): Entry => ({
  id: 'S1',
  type: 'data',
  daysAgo: 1,
  records: 1n,
  used: 5n,
  micros: 100_000n,
  ...more,
});
const lastWeek = { from: (today - 7) as Day, to: today };
const everything: UsageSelection = { days: null, usageType: null, subscriptionId: null };
const ofWeek = { selection: { ...everything, days: lastWeek }, byDay: false };
const first = { after: null, limit: 50 };

describe('a limit', () => {
  const at = (priceLimit: string, fresh = false) =>
    usage.overLimit({ selection: everything, priceLimit: priceLimit as Decimal, ...recency(fresh) }, first);

  test('is reached by as much, not by a millionth less: 0.10 + 0.20 is 0.30', async () => {
    await play([{ kind: 'records', entries: [one(), one({ micros: 200_000n })] }, { kind: 'rollup' }]);
    expect((await at('0.30')).items).toEqual([
      { subscriptionId: 'S1', exceeded: [{ usageType: 'data', totalPrice: '0.30', exceededBy: '0.00' }] },
    ]);
    expect((await at('0.3')).items).toHaveLength(1);
    expect((await at('0.300001')).items).toEqual([]);
  });

  test('is judged type by type: what two types cost together reaches nothing', async () => {
    await play([{ kind: 'records', entries: [one(), one({ type: 'voice', micros: 200_000n })] }, { kind: 'rollup' }]);
    expect((await at('0.25')).items).toEqual([]);
    expect((await at('0.20')).items).toMatchObject([{ exceeded: [{ usageType: 'voice' }] }]);
  });

  test('of 0 is reached by usage for nothing, and not by records that were all deleted', async () => {
    await play([
      { kind: 'records', entries: [one({ id: 'free', micros: 0n }), one({ id: 'deleted' })] },
      { kind: 'adjustments', entries: [one({ id: 'deleted', records: -1n, used: -5n, micros: -100_000n })] },
      { kind: 'rollup' },
    ]);
    expect((await at('0')).items.map(({ subscriptionId }) => subscriptionId)).toEqual(['free']);
    const { items } = await usage.metrics({ ...ofWeek, ...recency(false) }, first);
    expect(items.map(({ subscriptionId }) => subscriptionId)).toEqual(['free']);
  });

  test('that an open adjustment takes somebody below is not reached when read fresh', async () => {
    await play([
      { kind: 'records', entries: [one({ micros: 2_000_000n })] },
      { kind: 'rollup' },
      { kind: 'adjustments', entries: [one({ records: 0n, used: 0n, micros: -1_000_001n })] },
    ]);
    expect((await at('1.00')).items).toHaveLength(1);
    expect((await at('1.00', true)).items).toEqual([]);
  });
});

describe('recency', () => {
  const batchOf = (n: number) =>
    usage.ingest({
      documents: [
        {
          record_id: `w${n}-${++numbers}`,
          subscription_id: 'W',
          usage_type: 'data',
          used_at: '2026-11-20T10:00:00Z',
          used: 1,
          price: '1',
        },
      ],
      actor: 'test',
      producerKey: null,
      contentHash: null,
    });
  const waiting = (waitFor: bigint, fresh: boolean) =>
    usage.metrics({ ...ofWeek, fresh, waitFor: waitFor as Recency['waitFor'] }, first);

  test('waits for a batch until it is rolled up', async () => {
    await empty();
    const { batchId } = await batchOf(1);
    const answer = waiting(batchId, false);
    await usage.rollup.once();
    expect((await answer).items).toMatchObject([{ totalPrice: '1.00', records: 1n }]);
  });

  test('of a fresh answer needs no wait', async () => {
    await empty();
    const { batchId } = await batchOf(2);
    expect((await waiting(batchId, true)).items).toMatchObject([{ totalPrice: '1.00' }]);
  });

  test('that cannot be had in time is told, not passed over', async () => {
    await empty();
    const { batchId } = await batchOf(3);
    await expect(waiting(batchId, false)).rejects.toMatchObject({
      code: 'usage_not_rolled_up',
      facts: { batch_id: String(batchId) },
    });
    await expect(waiting(1n, false)).rejects.toMatchObject({ code: 'usage_batch_not_found' });
    await expect(waiting(1n, true)).rejects.toMatchObject({ code: 'usage_batch_not_found' });
  });

  test('never promises what an open batch lacks', async () => {
    await empty();
    await batchOf(4);
    await db.query({ text: 'update usage_batches set created_at = $1', values: [new Date(now - 60_000)] });
    const asked = { ...ofWeek, ...recency(false) };
    expect((await usage.metrics(asked, first)).asOf).toBe(now - 60_000);
    expect((await usage.metrics({ ...asked, fresh: true }, first)).asOf).toBe(now);
    await usage.rollup.once();
    expect((await usage.metrics(asked, first)).asOf).toBe(now);
  });
});

test('a type that nobody registered is refused with the names of those that are', async () => {
  const selection = { ...ofWeek.selection, usageType: 'date' };
  const refusal = { code: 'usage_type_unknown', facts: { known: ['data', 'sms', 'voice'] } };
  await expect(usage.metrics({ selection, byDay: false, ...recency(false) }, first)).rejects.toMatchObject(refusal);
  await expect(
    usage.overLimit({ selection, priceLimit: '1' as Decimal, ...recency(true) }, first),
  ).rejects.toMatchObject(refusal);
});

describe('a stream', () => {
  const csv = async (byDay: boolean) =>
    text((await usage.streamMetrics({ ...ofWeek, byDay, ...recency(true) }, 'csv')).chunks);

  test('as CSV has a header even without rows, quotes what needs it and defuses formulas', async () => {
    await empty();
    expect(await csv(false)).toBe('subscription_id,usage_type,total_price,total_used,records\n');
    await play([{ kind: 'records', entries: ['=1+1', '-5', 'a,b', 'q"'].map((id) => one({ id })) }]);
    expect(await csv(false)).toBe(
      `${['subscription_id,usage_type,total_price,total_used,records', '-5,data,0.10,5,1', `'=1+1,data,0.10,5,1`, '"a,b",data,0.10,5,1', '"q""",data,0.10,5,1'].join('\n')}\n`,
    );
    expect((await csv(true)).split('\n').slice(0, 2)).toEqual([
      'subscription_id,usage_type,day,total_price,total_used,records',
      '-5,data,2026-11-20,0.10,5,1',
    ]);
  });

  test('that is left early lets go of its connection, and only so many run at once', async () => {
    await empty();
    await db.query(
      dynamic(
        sql`insert into usage_daily select date '2026-11-20', 1, 'data', 'L' || i, 1, 1, 1 from generate_series(1, 300000) i`,
      ),
    );
    const query = { ...ofWeek, ...recency(false) };
    const readers = [];
    for (let i = 0; i < maxStreams; i++) {
      const { chunks } = await usage.streamMetrics(query, 'ndjson');
      const reader = chunks[Symbol.asyncIterator]();
      await reader.next();
      readers.push(reader);
    }
    await expect(usage.streamMetrics(query, 'ndjson')).rejects.toMatchObject({ code: 'storage_overloaded' });
    for (const reader of readers) await reader.return?.();
    const copies = () =>
      db.query<{ n: bigint }>({
        text: `select count(*) as n from pg_stat_activity where datname = current_database() and query like 'copy (%' and state = 'active'`,
        values: [],
      });
    while ((await copies())[0]?.n !== 0n) await new Promise((resolve) => setTimeout(resolve, 10));
    const again = await usage.streamMetrics(query, 'ndjson');
    expect((await text(again.chunks)).split('\n')).toHaveLength(300_001);
  });
});
