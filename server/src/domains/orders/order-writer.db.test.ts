import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bucketOfId, type OrderId, timeOfId } from '../../core/ids.ts';
import { dayMs, type Instant, minuteMs } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openCommitCutter } from '../../testing/commit-cutter.ts';
import { createTestClient } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import { emptyOrders, given, inconsistencies, openTestOrders, withItems } from '../../testing/test-orders.ts';
import type { WriteMethod, WriteOutcome } from './order-batch-service.ts';
import type { OrderToWrite } from './order-write-service.ts';

const { db, url, clock, orders, salt, writerOn } = await openTestOrders();
const at = (ms: number) => ms as Instant;
const methods: WriteMethod[] = ['insert', 'copy'];
const numbered = (orderNumber: string, more: Parameters<typeof given.toWrite>[0] = {}) =>
  given.toWrite({ orderNumber, ...more });
const write = (rows: readonly OrderToWrite[], by: WriteMethod = 'insert') =>
  orders.writer.write(rows, { by, olderMonths: 'refuse' });
const idOf = (outcome: WriteOutcome | undefined): OrderId | null =>
  outcome === undefined ? null : outcome.kind === 'created' ? outcome.order.orderId : outcome.orderId;
const countOf = async (customerId: string) => {
  const [row] = await db.query(
    dynamic<{ count: bigint }>(sql`select count(*) as count from orders where customer_id = ${customerId}`),
  );
  return Number(row?.count);
};

beforeEach(async () => {
  clock.set(testNow);
  await emptyOrders(db);
});
afterEach(async () => {
  expect(await inconsistencies(db)).toEqual([]);
});

describe.each(methods)('an order written by %s', (by) => {
  test('is stored as it was sent, with its home, its key and its first status', async () => {
    const name = 'Chaussure "été" \\ 漢字 🛒\t\n';
    const items = [
      { sku: 'A\tB', name, quantity: 3, unit_price: 2 ** 50 },
      { sku: '\\N', quantity: 1, unit_price: 0 },
    ];
    const placedAt = at(testNow - 40 * dayMs);
    const [outcome] = await write([numbered('NULL', { customerId: 'Zoë, "x"', placedAt, items })], by);
    if (outcome?.kind !== 'created') throw new Error('not created');
    expect(withItems(await orders.getOrder(outcome.order.orderId))).toEqual(withItems(outcome.order));
    expect(withItems(outcome.order)).toMatchObject({
      customerId: 'Zoë, "x"',
      orderNumber: 'NULL',
      placedAt,
      items,
      total: 3 * 2 ** 50,
      currency: 'EUR',
      status: 'pending',
      version: 1,
    });
    expect(timeOfId(outcome.order.orderId)).toBe(placedAt);
    expect(await orders.getHistory(outcome.order.orderId)).toEqual([
      {
        seq: 1,
        status: 'pending',
        occurredAt: placedAt,
        recordedAt: testNow,
        reason: null,
        actor: 'test',
        eventKey: null,
      },
    ]);
    const keys = await db.query(dynamic<{ bucket: number }>(sql`select bucket, kind, key from order_keys`));
    expect(keys).toEqual([{ bucket: bucketOfId(outcome.order.orderId), kind: 'number', key: 'NULL' }]);
  });

  test('sent again is a replay; with another content it is refused, and says whose key it was', async () => {
    const [first] = await write([numbered('1')], by);
    clock.set(testNow + dayMs);
    const [again, other] = await write(
      [numbered('1'), numbered('1', { items: [{ sku: 'B', quantity: 1, unit_price: 1 }] })],
      by,
    );
    expect(again).toEqual({ kind: 'replayed', orderId: idOf(first), statusesAdded: 0 });
    expect(other).toEqual({ kind: 'refused', code: 'order_key_reused', orderId: idOf(first) });
    expect(await countOf('C')).toBe(1);
  });

  test('is written once when it stands in its batch twice', async () => {
    const outcomes = await write(
      [numbered('1'), numbered('2'), numbered('1'), numbered('1', { currency: 'USD' as never })],
      by,
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(['created', 'created', 'replayed', 'refused']);
    expect(idOf(outcomes[2])).toBe(idOf(outcomes[0]));
    expect(await countOf('C')).toBe(2);
  });

  test('is found among new ones: old and new keys in one batch', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => numbered(`${i}`, { customerId: `C${i % 7}` }));
    const first = await write(
      rows.filter((_, i) => i % 3 === 0),
      by,
    );
    const all = await write(rows, by);
    for (const [i, outcome] of all.entries()) {
      expect(outcome.kind).toBe(i % 3 === 0 ? 'replayed' : 'created');
      if (i % 3 === 0) expect(idOf(outcome)).toBe(idOf(first[i / 3]));
    }
  });

  test('without a key is a new one each time', async () => {
    const outcomes = await write([given.toWrite(), given.toWrite()], by);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['created', 'created']);
    expect(await countOf('C')).toBe(2);
  });

  test('has its number and its Idempotency-Key apart, and the same key of another customer too', async () => {
    const outcomes = await write(
      [
        numbered('k'),
        given.toWrite({}, 'k'),
        given.toWrite({ orderNumber: 'n' }, 'k'),
        given.toWrite({ customerId: 'D' }, 'k'),
        given.toWrite({}, 'k'),
      ],
      by,
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(['created', 'created', 'created', 'created', 'replayed']);
    expect(idOf(outcomes[4])).toBe(idOf(outcomes[1]));
  });

  test('brings its history; a replay adds what is missing of it and moves the status with it', async () => {
    const paid = given.status('complete', testNow - 500, { eventKey: 'paid' });
    const refund = given.status('cancelled', testNow - 100, { reason: 'refund' });
    const placedAt = at(testNow - 1_000);
    const send = (statuses: (typeof paid)[] | null) => write([numbered('1', { placedAt, statuses })], by);
    const [created] = await send([paid]);
    expect(created).toMatchObject({ kind: 'created', order: { status: 'complete', version: 2 } });
    const id = idOf(created) as OrderId;
    expect(await send([paid, refund, refund])).toEqual([{ kind: 'replayed', orderId: id, statusesAdded: 1 }]);
    expect(await orders.getOrder(id)).toMatchObject({
      status: 'cancelled',
      statusAt: testNow - 100,
      reason: 'refund',
      version: 3,
    });
    expect(await send([refund, paid])).toEqual([{ kind: 'replayed', orderId: id, statusesAdded: 0 }]);
    expect(await send(null)).toEqual([{ kind: 'replayed', orderId: id, statusesAdded: 0 }]);
    // An older row is added and decides nothing.
    expect(await send([given.status('complete', testNow - 700)])).toMatchObject([{ statusesAdded: 1 }]);
    expect(await orders.getOrder(id)).toMatchObject({ status: 'cancelled', statusAt: testNow - 100, version: 4 });
    expect((await orders.getHistory(id)).map(({ seq, status }) => [seq, status])).toEqual([
      [1, 'pending'],
      [2, 'complete'],
      [3, 'cancelled'],
      [4, 'complete'],
    ]);
  });

  test('merges the histories of its copies within one batch', async () => {
    const placedAt = at(testNow - 1_000);
    const outcomes = await write(
      [
        numbered('1', { placedAt, statuses: [given.status('complete', testNow - 500)] }),
        numbered('1', { placedAt, statuses: [given.status('cancelled', testNow - 100, { reason: 'r' })] }),
        numbered('1', { placedAt, statuses: [given.status('complete', testNow - 500)] }),
      ],
      by,
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(['created', 'replayed', 'replayed']);
    expect(await orders.getOrder(idOf(outcomes[0]) as OrderId)).toMatchObject({ status: 'cancelled', version: 3 });
  });

  test('that the database refuses is refused alone', async () => {
    await db.query(dynamic(sql`alter table orders_2025_06 add constraint for_this_test check (customer_id <> 'bad')`));
    try {
      const rows = Array.from({ length: 40 }, (_, i) =>
        numbered(`${i}`, { customerId: i === 13 || i === 31 ? 'bad' : 'C' }),
      );
      const outcomes = await write(rows, by);
      for (const [i, outcome] of outcomes.entries()) {
        if (i === 13 || i === 31) expect(outcome).toEqual({ kind: 'refused', code: 'row_refused', orderId: null });
        else expect(outcome.kind).toBe('created');
      }
      expect(await countOf('C')).toBe(38);
      expect((await write(rows, by)).filter(({ kind }) => kind === 'replayed')).toHaveLength(38);
    } finally {
      await db.query(dynamic(sql`alter table orders_2025_06 drop constraint for_this_test`));
    }
  });

  test('is there once when the connection was lost during COMMIT, with a key and without', async () => {
    const cutter = await openCommitCutter(url);
    const client = createTestClient(cutter.url);
    try {
      for (const when of ['before', 'after'] as const) {
        const customerId = `lost ${when}`;
        const history = { customerId, statuses: [given.status('complete', testNow)] };
        const rows = [
          numbered('1', history),
          given.toWrite(history),
          numbered('2', history),
          given.toWrite(history),
          numbered('1', history),
        ];
        cutter.cutNextCommit(when);
        const outcomes = await writerOn(client).write(rows, { by, olderMonths: 'refuse' });
        expect(outcomes.map(({ kind }) => kind)).toEqual(['created', 'created', 'created', 'created', 'replayed']);
        for (const outcome of outcomes)
          expect((await orders.getOrder(idOf(outcome) as OrderId)).status).toBe('complete');
        expect(await countOf(customerId)).toBe(4);
      }
    } finally {
      await client.close();
      await cutter.close();
    }
  });
});

test('by insert and by copy orders become the same rows', async () => {
  const rows = Array.from({ length: 30 }, (_, i) =>
    numbered(`"${i}\\`, {
      placedAt: at(testNow - i * 20 * dayMs),
      currency: (i % 2 === 0 ? 'JPY' : null) as never,
      items: [{ sku: `s\t${i}`, quantity: i + 1, unit_price: i, ...(i % 3 === 0 ? { name: '🛒 "NULL" {a,b}' } : {}) }],
      statuses:
        i % 4 === 0
          ? null
          : [
              given.status('complete', testNow - i, { eventKey: i % 2 === 0 ? `e${i}` : null }),
              given.status('cancelled', testNow, { reason: '\\N' }),
            ],
    }),
  );
  const stored: unknown[] = [];
  for (const by of methods) {
    await write(rows, by);
    // Everything but what is random in an id.
    stored.push([
      await db.query(
        dynamic(
          sql`select left(order_id::text, 18) as id, bucket, customer_id, order_number, placed_at, currency, total_minor, items, status, status_at, status_seq, last_seq, reason from orders order by order_number`,
        ),
      ),
      await db.query(
        dynamic(
          sql`select left(order_id::text, 18) as id, bucket, seq, status, occurred_at, recorded_at, reason, actor, event_key from order_statuses order by 1, seq`,
        ),
      ),
      await db.query(dynamic(sql`select bucket, customer_id, kind, key, content_hash from order_keys order by key`)),
    ]);
    await emptyOrders(db);
  }
  expect(stored[1]).toEqual(stored[0]);
  expect((stored[0] as unknown[][])[0]).toHaveLength(30);
});

describe('the time an order was placed', () => {
  test('reaches from the start of the month 24 months ago to 5 minutes ahead', async () => {
    const first = Date.parse('2023-06-01T00:00:00Z');
    const outcomes = await write(
      [first - 1, first, testNow + 5 * minuteMs, testNow + 5 * minuteMs + 1].map((ms) =>
        given.toWrite({ placedAt: at(ms) }),
      ),
    );
    expect(outcomes.map((outcome) => (outcome.kind === 'refused' ? outcome.code : outcome.kind))).toEqual([
      'placed_at_out_of_range',
      'created',
      'created',
      'placed_at_out_of_range',
    ]);
  });

  test.each(['0001-01-01T00:00:00Z', '1969-12-31T23:59:59Z', '9999-12-31T23:59:59.999Z'])(
    'is refused at %s, for imports too',
    async (text) => {
      const row = numbered('1', { placedAt: at(Date.parse(text)) });
      for (const olderMonths of ['make', 'refuse'] as const) {
        expect(await orders.writer.write([row], { by: 'copy', olderMonths })).toEqual([
          { kind: 'refused', code: 'placed_at_out_of_range', orderId: null },
        ]);
      }
    },
  );

  test('that has gone out of range since is no obstacle for a replay', async () => {
    const row = numbered('1', { placedAt: at(testNow - 700 * dayMs) });
    const [created] = await write([row]);
    clock.set(testNow + 900 * dayMs);
    const reused = numbered('1', { placedAt: at(testNow - 701 * dayMs) });
    expect(await write([row, numbered('2', { placedAt: row.order.placedAt }), reused])).toEqual([
      { kind: 'replayed', orderId: idOf(created), statusesAdded: 0 },
      { kind: 'refused', code: 'placed_at_out_of_range', orderId: null },
      { kind: 'refused', code: 'order_key_reused', orderId: idOf(created) },
    ]);
  });

  test('of an import may lie in any month since 1995: it is made', async () => {
    const rows = ['1995-01-01T00:00:00Z', '2010-12-31T23:59:59.999Z', '2011-05-05T00:00:00Z'].map((text, i) =>
      numbered(`${i}`, { placedAt: at(Date.parse(text)) }),
    );
    const outcomes = await orders.writer.write(rows, { by: 'copy', olderMonths: 'make' });
    expect(outcomes.map(({ kind }) => kind)).toEqual(['created', 'created', 'created']);
    expect((await write(rows)).map(({ kind }) => kind)).toEqual(['replayed', 'replayed', 'replayed']);
  });

  test('of a status may not lie more than 5 minutes ahead, imports too', async () => {
    const row = (ms: number) => given.toWrite({ statuses: [given.status('complete', ms)] });
    const outcomes = await orders.writer.write([row(testNow + 5 * minuteMs), row(testNow + 5 * minuteMs + 1)], {
      by: 'copy',
      olderMonths: 'make',
    });
    expect(outcomes).toMatchObject([{ kind: 'created' }, { kind: 'refused', code: 'occurred_at_in_future' }]);
  });
});

describe('a salted customer', () => {
  test('never gets an order twice and finds every one again, however layouts and writes alternate', async () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 1, arbitrary: fc.record({ ways: fc.constantFrom(1, 2, 4, 8) }) },
        {
          weight: 4,
          arbitrary: fc.record({
            keys: fc.array(fc.nat(30), { minLength: 1, maxLength: 12 }),
            by: fc.constantFrom(...methods),
            kind: fc.constantFrom('number', 'request'),
          }),
        },
      ),
      { minLength: 4, maxLength: 14 },
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const customerId = `salted ${run++}`;
        const known = new Map<string, OrderId | null>();
        for (const step of list) {
          if ('ways' in step) {
            await salt(customerId, step.ways);
            continue;
          }
          const rows = step.keys.map((key) =>
            step.kind === 'number' ? numbered(`${key}`, { customerId }) : given.toWrite({ customerId }, `${key}`),
          );
          const outcomes = await write(rows, step.by);
          for (const [i, outcome] of outcomes.entries()) {
            const identity = `${step.kind} ${step.keys[i]}`;
            expect(outcome.kind).toBe(known.has(identity) ? 'replayed' : 'created');
            if (known.has(identity)) expect(idOf(outcome)).toBe(known.get(identity));
            known.set(identity, idOf(outcome));
          }
        }
        expect(await countOf(customerId)).toBe(known.size);
        for (const [identity, orderId] of known) {
          if (!identity.startsWith('number ')) continue;
          const filter = {
            statuses: [],
            customerId,
            orderNumber: identity.slice('number '.length),
            placedFrom: null,
            placedTo: null,
          };
          const page = await orders.listOrders({ filter, direction: 'newest', limit: 5, after: null });
          expect(page.items.map((order) => order.orderId)).toEqual([orderId]);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('spreads over its ways: 1, then 4, then 8', async () => {
    const used = new Map<number, Set<number>>();
    for (const ways of [1, 4, 8]) {
      if (ways > 1) await salt('C', ways);
      const outcomes = await write(Array.from({ length: 120 }, (_, i) => numbered(`${ways} ${i}`)));
      used.set(ways, new Set(outcomes.map((outcome) => bucketOfId(idOf(outcome) as OrderId))));
    }
    expect([...used].map(([ways, buckets]) => [ways, buckets.size])).toEqual([
      [1, 1],
      [4, 4],
      [8, 8],
    ]);
    const everything = { statuses: [], customerId: 'C', orderNumber: null, placedFrom: null, placedTo: null };
    expect(await orders.countOrders(everything)).toEqual({ count: 360, precision: 'exact' });
  });

  test('that is being moved waits; its neighbours do not', async () => {
    await salt('C', 4, 'draining');
    expect((await write([numbered('1', { customerId: 'D' })]))[0]?.kind).toBe('created');
    await expect(write([numbered('1', { customerId: 'D' }), numbered('1')])).rejects.toMatchObject({
      code: 'storage_overloaded',
    });
    const waiting = write([numbered('1')]);
    await db.query(dynamic(sql`update customer_salts set state = 'active', drain_until = null, epoch = epoch + 1`));
    expect((await waiting)[0]).toMatchObject({ kind: 'created' });
  });
});

describe('two writers at once', () => {
  test.each([
    ['insert', 'insert'],
    ['insert', 'copy'],
    ['copy', 'copy'],
  ] as const)('(%s, %s) with the same keys in opposite order write each order once', async (one, other) => {
    const second = createTestClient(url);
    try {
      for (let round = 0; round < 4; round++) {
        const history = [given.status('complete', testNow - 1)];
        const rows = Array.from({ length: 150 }, (_, i) =>
          numbered(`${round} ${i}`, { customerId: `C${i % 9}`, statuses: history }),
        );
        const [left, right] = await Promise.all([
          writerOn(db).write(rows, { by: one, olderMonths: 'refuse' }),
          writerOn(second).write([...rows].reverse(), { by: other, olderMonths: 'refuse' }),
        ]);
        right.reverse();
        for (const [i, outcome] of left.entries()) {
          expect([outcome.kind, right[i]?.kind].sort()).toEqual(['created', 'replayed']);
          expect(idOf(outcome)).toBe(idOf(right[i]));
        }
      }
    } finally {
      await second.close();
    }
  });
});

describe('single orders through group commit', () => {
  test('are answered each with its own, replays included', async () => {
    const rows = Array.from({ length: 120 }, (_, i) => numbered(`${i % 80}`, { customerId: `C${i % 5}` }));
    const answers = await Promise.all(rows.map((row) => orders.createOrder(row)));
    for (const [i, answer] of answers.entries()) {
      expect(answer.order).toMatchObject({ orderNumber: `${i % 80}`, customerId: `C${i % 5}` });
      expect(answer.replayed).toBe(i >= 80);
    }
  });

  test('are refused each with its own reason', async () => {
    await orders.createOrder(numbered('1'));
    await db.query(dynamic(sql`alter table orders_2025_06 add constraint for_this_test check (customer_id <> 'bad')`));
    try {
      const results = await Promise.allSettled([
        orders.createOrder(numbered('1', { currency: 'USD' as never })),
        orders.createOrder(numbered('2', { placedAt: at(0) })),
        orders.createOrder(numbered('3', { customerId: 'bad' })),
        ...Array.from({ length: 30 }, () => orders.createOrder(given.toWrite({ customerId: 'keyless' }))),
      ]);
      expect(results.slice(0, 3)).toMatchObject([
        { reason: { code: 'order_key_reused', facts: { order_id: expect.any(String) } } },
        { reason: { code: 'placed_at_out_of_range' } },
        { reason: { code: 'row_refused' } },
      ]);
      // The halving that finds the bad row writes nobody's order twice, not even those without a key.
      expect(results.slice(3).every(({ status }) => status === 'fulfilled')).toBe(true);
      expect(await countOf('keyless')).toBe(30);
    } finally {
      await db.query(dynamic(sql`alter table orders_2025_06 drop constraint for_this_test`));
    }
  });
});
