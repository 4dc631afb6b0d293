import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { OrderId } from '../../core/ids.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import { testNow } from '../../testing/test-clock.ts';
import { given, openTestOrders } from '../../testing/test-orders.ts';
import type { Order } from './order.ts';
import type { OrderFilter, OrderPage } from './order-read-service.ts';
import { type OrderStatus, orderStatuses } from './order-status.ts';
import type { Direction } from './order-walk.ts';

const { orders, salt } = await openTestOrders();
const at = (ms: number) => ms as Instant;
const everything: OrderFilter = { statuses: [], customerId: null, orderNumber: null, placedFrom: null, placedTo: null };
const idsOf = (list: readonly Order[]) => list.map(({ orderId }) => orderId);
const spanMs = 650 * dayMs;

async function load(count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => {
    // Many share a millisecond, some lie in every month.
    const placedAt = at(testNow - (i % 3 === 0 ? (i % 5) * dayMs : Math.floor((i / count) * spanMs)));
    const status = orderStatuses[i % 7 === 0 ? 2 : i % 3 === 0 ? 0 : 1] as OrderStatus;
    const statuses = status === 'pending' ? null : [given.status(status, placedAt + 1)];
    return given.toWrite({ customerId: `C${i % 3}`, placedAt, statuses });
  });
  await orders.writer.write(rows, { by: 'copy', olderMonths: 'refuse' });
}

beforeAll(async () => {
  await load(80);
  await salt('C1', 4);
  await load(80);
});

interface List {
  readonly filter: OrderFilter;
  readonly direction: Direction;
  readonly limit: number;
}

async function forwards(list: List, from: OrderId | null = null): Promise<OrderPage[]> {
  const pages: OrderPage[] = [];
  for (let after = from; ; ) {
    const page = await orders.listOrders({ ...list, after });
    pages.push(page);
    if (page.next === null) return pages;
    after = page.next;
  }
}

/** The pages in front of a row, the farthest first. */
async function backwards(list: List, from: OrderId | null, between = async () => {}): Promise<OrderPage[]> {
  const pages: OrderPage[] = [];
  for (let before = from; before !== null; ) {
    const page: OrderPage = await orders.listOrders({ ...list, after: null, before });
    pages.unshift(page);
    before = page.prev;
    await between();
  }
  return pages;
}
const rowsOf = (pages: readonly OrderPage[]) => pages.flatMap(({ items }) => idsOf(items));

const lists = fc.record({
  filter: fc.record({
    statuses: fc.subarray([...orderStatuses] as OrderStatus[]),
    customerId: fc.option(fc.constantFrom('C0', 'C1', 'nobody')),
    orderNumber: fc.constant(null),
    placedFrom: fc.option(fc.integer({ min: testNow - spanMs, max: testNow }).map(at)),
    placedTo: fc.option(fc.integer({ min: testNow - spanMs, max: testNow + dayMs }).map(at)),
  }),
  direction: fc.constantFrom<Direction>('newest', 'oldest'),
  limit: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(99, 100, 500)),
});

describe('backwards', () => {
  test('from any page come exactly the pages before it, and forwards again the pages behind', async () => {
    await fc.assert(
      fc.asyncProperty(lists, fc.nat(), async (list, start) => {
        const pages = await forwards(list);
        expect(pages[0]?.prev).toBeNull();
        const place = start % pages.length;
        const back = await backwards(list, pages[place]?.prev ?? null);
        expect(back.map(({ items }) => idsOf(items))).toEqual(pages.slice(0, place).map(({ items }) => idsOf(items)));
        const [front] = back;
        if (front === undefined) return;
        expect(
          [...(back[0]?.items ?? []), ...(await forwards(list, front.next)).flatMap(({ items }) => items)].map(
            ({ orderId }) => orderId,
          ),
        ).toEqual(rowsOf(pages));
      }),
      { numRuns: 60 },
    );
  });

  test('with pages of another size come the same rows, the rest on the page that begins the list', async () => {
    const list: List = { filter: everything, direction: 'newest', limit: 30 };
    const pages = await forwards(list);
    const back = await backwards({ ...list, limit: 40 }, pages[3]?.prev ?? null);
    expect(back.map(({ items }) => items.length)).toEqual([10, 40, 40]);
    expect(rowsOf(back)).toEqual(rowsOf(pages.slice(0, 3)));
  });

  test('from an empty page comes what stood before it, and the other way round', async () => {
    for (const direction of ['newest', 'oldest'] as const) {
      const list: List = { filter: everything, direction, limit: 5 };
      const all = rowsOf(await forwards(list));
      const behind = await orders.listOrders({ ...list, after: all.at(-1) ?? null });
      expect(behind).toMatchObject({ items: [], next: null });
      expect(idsOf((await orders.listOrders({ ...list, after: null, before: behind.prev })).items)).toEqual(
        all.slice(-5),
      );
      const inFront = await orders.listOrders({ ...list, after: null, before: all[0] ?? null });
      expect(inFront).toMatchObject({ items: [], prev: null });
      expect(idsOf((await orders.listOrders({ ...list, after: inFront.next })).items)).toEqual(all.slice(0, 5));
    }
  });

  // Last: these add rows.
  test('rows that arrive meanwhile make it skip and repeat nothing that was there', async () => {
    const scenario = fc.record({
      direction: fc.constantFrom<Direction>('newest', 'oldest'),
      limit: fc.integer({ min: 3, max: 40 }),
      arrivals: fc.array(fc.array(fc.integer({ min: -1, max: 600 }), { maxLength: 3 }), { minLength: 1, maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ direction, limit, arrivals }) => {
        const list: List = { filter: everything, direction, limit };
        const pages = await forwards(list);
        const last = pages.at(-1);
        const known = rowsOf(pages.slice(0, -1));
        let page = 0;
        const seen = rowsOf(
          await backwards(list, last?.prev ?? null, async () => {
            const rows = (arrivals[page++] ?? []).map((days) =>
              given.toWrite({ placedAt: at(days < 0 ? testNow + 60_000 : testNow - days * dayMs) }),
            );
            await orders.writer.write(rows, { by: 'insert', olderMonths: 'refuse' });
          }),
        );
        expect(new Set(seen).size).toBe(seen.length);
        const were = new Set(known);
        expect(seen.filter((id) => were.has(id))).toEqual(known);
        expect(seen).toEqual(direction === 'newest' ? [...seen].sort().reverse() : [...seen].sort());
      }),
      { numRuns: 25 },
    );
  });
});
