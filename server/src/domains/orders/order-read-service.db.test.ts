import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { OrderId } from '../../core/ids.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import { given, openTestOrders, withItems } from '../../testing/test-orders.ts';
import type { Order } from './order.ts';
import { countCap, createOrderReads, type OrderFilter } from './order-read-service.ts';
import { type OrderStatus, orderStatuses } from './order-status.ts';
import type { Direction } from './order-walk.ts';

const { db, orders, layouts, clock, salt } = await openTestOrders();
const at = (ms: number) => ms as Instant;
const everything: OrderFilter = { statuses: [], customerId: null, orderNumber: null, placedFrom: null, placedTo: null };
const idsOf = (list: readonly Order[]) => list.map(({ orderId }) => orderId);

/** All orders there are, by a statement of its own. */
const oracle: Order[] = [];
const spanMs = 650 * dayMs;

async function load(count: number, customerOf: (i: number) => string): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => {
    // Many share a millisecond, many lie in the same months, some in every month.
    const placedAt = at(testNow - (i % 3 === 0 ? (i % 5) * dayMs : Math.floor((i / count) * spanMs)));
    const status = orderStatuses[i % 7 === 0 ? 2 : i % 3 === 0 ? 0 : 1] as OrderStatus;
    const statuses = status === 'pending' ? null : [given.status(status, placedAt + 1)];
    return given.toWrite({ customerId: customerOf(i), orderNumber: i % 2 === 0 ? `N${i}` : null, placedAt, statuses });
  });
  for (const outcome of await orders.writer.write(rows, { by: 'copy', olderMonths: 'refuse' })) {
    if (outcome.kind === 'created') oracle.push(outcome.order);
  }
}

beforeAll(async () => {
  await load(100, (i) => `C${i % 6}`);
  await salt('C1', 4);
  await load(100, (i) => `C${i % 3}`);
  await salt('C1', 8);
  await load(100, (i) => `C${i % 2}`);
  expect(oracle.length).toBeGreaterThan(200);
});

function expected(filter: OrderFilter, direction: Direction): OrderId[] {
  const ids = oracle
    .filter((order) => filter.statuses.length === 0 || filter.statuses.includes(order.status))
    .filter((order) => filter.customerId === null || order.customerId === filter.customerId)
    .filter((order) => filter.orderNumber === null || order.orderNumber === filter.orderNumber)
    .filter((order) => filter.placedFrom === null || order.placedAt >= filter.placedFrom)
    .filter((order) => filter.placedTo === null || order.placedAt < filter.placedTo)
    .map(({ orderId }) => orderId)
    .sort();
  return direction === 'oldest' ? ids : ids.reverse();
}

async function walk(filter: OrderFilter, direction: Direction, limit: number): Promise<OrderId[]> {
  const seen: OrderId[] = [];
  for (let after: OrderId | null = null; ; ) {
    const page = await orders.listOrders({ filter, direction, limit, after });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    if (page.next !== null) expect(page.items).toHaveLength(limit);
    seen.push(...idsOf(page.items));
    if (page.next === null) return seen;
    after = page.next;
  }
}

// Half of the instants are those of orders, so that the edges of a range meet rows.
const instants = fc.oneof(
  fc.nat(299).map((i) => oracle[i % oracle.length]?.placedAt ?? at(testNow)),
  fc.integer({ min: testNow - spanMs, max: testNow + dayMs }).map(at),
);
const filters = fc.record({
  statuses: fc.subarray([...orderStatuses, 'complete'] as OrderStatus[]),
  customerId: fc.option(fc.constantFrom('C0', 'C1', 'C2', 'C5', 'nobody')),
  orderNumber: fc.constant(null),
  placedFrom: fc.option(instants),
  placedTo: fc.option(instants),
});
const directions = fc.constantFrom<Direction>('newest', 'oldest');
const limits = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(99, 100, 101, 500));

describe('a list', () => {
  test('holds exactly what the filter selects, in order, page by page, whatever the size of a page', async () => {
    await fc.assert(
      fc.asyncProperty(filters, directions, limits, async (filter, direction, limit) => {
        expect(await walk(filter, direction, limit)).toEqual(expected(filter, direction));
      }),
      { numRuns: 100 },
    );
  });

  test('gives each order as it is read by its id', async () => {
    const { items } = await orders.listOrders({ filter: everything, direction: 'newest', limit: 500, after: null });
    const newestFirst = [...oracle].sort((a, b) => (a.orderId < b.orderId ? 1 : -1));
    expect(items.map(withItems)).toEqual(newestFirst.map(withItems));
    expect(await orders.getOrder((items[0] as Order).orderId)).toEqual(items[0]);
  });

  test('by page number is the walk cut into pages', async () => {
    await fc.assert(
      fc.asyncProperty(filters, directions, fc.integer({ min: 1, max: 40 }), async (filter, direction, limit) => {
        const all = expected(filter, direction);
        for (const offset of [0, limit, 2 * limit, all.length - 1, all.length, 10_000].filter((value) => value >= 0)) {
          const page = await orders.listOrdersFrom({ filter, direction, limit }, offset);
          expect(idsOf(page.items)).toEqual(all.slice(offset, offset + limit));
          expect(page.next).toBe(all.length > offset + limit ? all[offset + limit - 1] : null);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('loses nothing by an outdated, wrong or empty list of months', async () => {
    for (const months of [[], [2025 * 12], [2030 * 12, 1995 * 12, 2024 * 12, 2024 * 12]]) {
      const reads = createOrderReads({ db, layouts, clock, months: () => months as never });
      for (const direction of ['newest', 'oldest'] as const) {
        const page = await reads.listOrders({ filter: everything, direction, limit: 500, after: null });
        expect(idsOf(page.items)).toEqual(expected(everything, direction));
      }
    }
  });

  test('streams what it lists', async () => {
    await fc.assert(
      fc.asyncProperty(filters, directions, async (filter, direction) => {
        const seen: Order[] = [];
        for await (const page of orders.streamOrders(filter, direction)) seen.push(...page);
        expect(idsOf(seen)).toEqual(expected(filter, direction));
      }),
      { numRuns: 15 },
    );
  });

  test('is counted exactly', async () => {
    await fc.assert(
      fc.asyncProperty(filters, async (filter) => {
        expect(await orders.countOrders(filter)).toEqual({
          count: expected(filter, 'newest').length,
          precision: 'exact',
        });
      }),
      { numRuns: 40 },
    );
  });
});

describe('an order number', () => {
  test('finds its order under whichever layout it was written, within the other filters', async () => {
    await fc.assert(
      fc.asyncProperty(filters, fc.nat(299), directions, async (filter, i, direction) => {
        const order = oracle[i % oracle.length] as Order;
        const wanted = {
          ...filter,
          customerId: filter.customerId ?? order.customerId,
          orderNumber: order.orderNumber ?? 'none',
        };
        const page = await orders.listOrders({ filter: wanted, direction, limit: 10, after: null });
        expect(idsOf(page.items)).toEqual(expected(wanted, direction));
        expect(page.next).toBeNull();
        expect(await orders.countOrders(wanted)).toEqual({ count: page.items.length, precision: 'exact' });
        expect((await orders.listOrdersFrom({ filter: wanted, direction, limit: 10 }, 1)).items).toEqual([]);
      }),
    );
    const found = oracle.filter(({ customerId, orderNumber }) => customerId === 'C1' && orderNumber !== null);
    for (const { orderId, orderNumber } of found) {
      const page = await orders.listOrders({
        filter: { ...everything, customerId: 'C1', orderNumber },
        direction: 'newest',
        limit: 1,
        after: null,
      });
      expect(idsOf(page.items)).toEqual([orderId]);
    }
  });
});

describe('an order that is not there', () => {
  test('is order_not_found, its history too', async () => {
    const id = `${(oracle[0] as Order).orderId.slice(0, -4)}ffff` as OrderId;
    await expect(orders.getOrder(id)).rejects.toMatchObject({ code: 'order_not_found', facts: { order_id: id } });
    await expect(orders.getHistory(id)).rejects.toMatchObject({ code: 'order_not_found' });
  });
});

// Last: these add rows.
describe('while orders arrive', () => {
  test('a walk skips and repeats nothing that was committed before it began, late-placed orders or not', async () => {
    const scenario = fc.record({
      filter: fc.record({
        statuses: fc.constantFrom<OrderStatus[]>([], ['pending'], ['pending', 'cancelled']),
        customerId: fc.option(fc.constantFrom('C0', 'C1')),
      }),
      direction: directions,
      limit: fc.integer({ min: 3, max: 40 }),
      // What arrives between two pages: how long ago it was placed, in days; -1 is newer than everything.
      arrivals: fc.array(fc.array(fc.integer({ min: -1, max: 600 }), { maxLength: 3 }), { minLength: 1, maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ filter: some, direction, limit, arrivals }) => {
        const filter = { ...everything, ...some };
        const before = expected(filter, direction);
        const seen: OrderId[] = [];
        for (let after: OrderId | null = null, page = 0; ; page++) {
          const { items, next } = await orders.listOrders({ filter, direction, limit, after });
          seen.push(...idsOf(items));
          if (next === null) break;
          after = next;
          const late = arrivals[page] ?? [];
          const rows = late.map((days, i) =>
            given.toWrite({
              customerId: `C${i % 2}`,
              placedAt: at(days < 0 ? testNow + 60_000 : testNow - days * dayMs),
            }),
          );
          for (const outcome of await orders.writer.write(rows, { by: 'insert', olderMonths: 'refuse' })) {
            if (outcome.kind === 'created') oracle.push(outcome.order);
          }
        }
        expect(new Set(seen).size).toBe(seen.length);
        const known = new Set(before);
        expect(seen.filter((id) => known.has(id))).toEqual(before);
        expect(seen).toEqual(direction === 'newest' ? [...seen].sort().reverse() : [...seen].sort());
      }),
      { numRuns: 30 },
    );
  });
});

describe('a count', () => {
  test('beyond its bound says at_least', async () => {
    // As many pending orders as the bound needs, all of one customer.
    await db.query(
      dynamic(sql`insert into orders (order_id, bucket, customer_id, placed_at, currency, total_minor, items, status, status_at, status_seq, last_seq)
        select id, bucket_of_id(id), 'many', now(), 'EUR', 1, '[]', 'pending', now(), 1, 1
          from (select (lpad(to_hex(${testNow}::bigint), 12, '0') || '7abc8000' || lpad(to_hex(g), 12, '0'))::uuid as id from generate_series(1, ${countCap + 1}) g) ids`),
    );
    const filter = { ...everything, customerId: 'many' };
    layouts.layoutsOf('many');
    // Their bucket is not the home of the customer, so only lists over all customers see them.
    expect(await orders.countOrders(filter)).toEqual({ count: 0, precision: 'exact' });
    expect(await orders.countOrders({ ...everything, statuses: ['pending'] })).toEqual({
      count: countCap,
      precision: 'at_least',
    });
    expect(await orders.countOrders({ ...everything, statuses: ['pending', 'complete'] })).toEqual({
      count: countCap,
      precision: 'at_least',
    });
    expect((await orders.countOrders({ ...everything, statuses: ['cancelled'] })).precision).toBe('exact');
  });
});
