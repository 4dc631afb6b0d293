import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Currency } from '../../core/money.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import { given, openTestOrders } from '../../testing/test-orders.ts';
import type { Order } from './order.ts';
import { type HistogramRow, histogramIntervals, intervalMs } from './order-histogram.ts';
import { histogramOf } from './order-histogram-queries.ts';
import type { HistogramRequest } from './order-histogram-service.ts';
import { type OrderStatus, orderStatuses } from './order-status.ts';
import { idSpan } from './order-walk.ts';

const { db, orders, salt } = await openTestOrders();
const at = (ms: number) => ms as Instant;
const spanMs = 60 * dayMs;
const startOfDay = Date.UTC(2025, 5, 1);

/** All orders there are. */
const oracle: Order[] = [];

async function load(count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => {
    // Some stand exactly on the boundary of a day, others a millisecond in front of it.
    const placedAt = at(i % 5 === 0 ? startOfDay - (i % 3) : testNow - Math.floor((i / count) * spanMs));
    const status = orderStatuses[i % 3] as OrderStatus;
    const statuses = status === 'pending' ? null : [given.status(status, placedAt + 1)];
    const items = [{ sku: 'A', quantity: 1, unit_price: i }];
    const currency = (i % 4 === 0 ? 'JPY' : 'EUR') as Currency;
    return given.toWrite({ customerId: `C${i % 2}`, placedAt, statuses, items, currency });
  });
  for (const outcome of await orders.writer.write(rows, { by: 'copy', olderMonths: 'refuse' })) {
    if (outcome.kind === 'created') oracle.push(outcome.order);
  }
}

beforeAll(async () => {
  await load(100);
  await salt('C1', 4);
  await load(100);
});

function expected({ statuses, customerId, placedFrom, placedTo, interval }: HistogramRequest): HistogramRow[] {
  const rows = new Map<string, HistogramRow>();
  for (const order of oracle) {
    if (order.placedAt < placedFrom || order.placedAt >= placedTo) continue;
    if (statuses.length > 0 && !statuses.includes(order.status)) continue;
    if (customerId !== null && order.customerId !== customerId) continue;
    const start = at(Math.floor(order.placedAt / intervalMs[interval]) * intervalMs[interval]);
    const key = `${new Date(start).toISOString()} ${order.status} ${order.currency}`;
    const { status, currency } = order;
    const row = rows.get(key) ?? { start, status, currency, orders: 0, total: 0n };
    rows.set(key, { ...row, orders: row.orders + 1, total: row.total + BigInt(order.total) });
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

describe('a histogram', () => {
  test('counts and sums exactly the orders of its range, half-open, whatever the filter and the layout', async () => {
    const edge = fc.oneof(
      fc.integer({ min: testNow - spanMs, max: testNow + dayMs }),
      fc.constantFrom(startOfDay - 1, startOfDay, startOfDay + 1, testNow),
    );
    const requests = fc.record({
      statuses: fc.subarray([...orderStatuses] as OrderStatus[]),
      customerId: fc.option(fc.constantFrom('C0', 'C1', 'nobody')),
      placedFrom: edge.map(at),
      placedTo: edge.map(at),
      interval: fc.constantFrom(...histogramIntervals),
    });
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        expect(await orders.readHistogram(request)).toEqual(expected(request));
      }),
      { numRuns: 60 },
    );
  });

  test('does not depend on the time zone of the session', async () => {
    const statement = histogramOf({ statuses: [], customer: null }, idSpan(null, null), 'day');
    const elsewhere = await db.transaction(async (tx) => {
      await tx.run(dynamic(sql`set local timezone = 'Pacific/Auckland'`));
      return tx.run(statement);
    });
    expect(elsewhere.length).toBeGreaterThan(50);
    expect(elsewhere).toEqual(await db.query(statement));
  });

  test('keeps sums beyond 2^53 exact', async () => {
    const unit_price = Number.MAX_SAFE_INTEGER;
    const placedAt = at(testNow - 100 * dayMs);
    const rows = Array.from({ length: 3 }, () =>
      given.toWrite({ items: [{ sku: 'A', quantity: 1, unit_price }], placedAt }),
    );
    await orders.writer.write(rows, { by: 'copy', olderMonths: 'refuse' });
    const range = { placedFrom: placedAt, placedTo: at(placedAt + 1) };
    const [row] = await orders.readHistogram({ statuses: [], customerId: null, interval: 'hour', ...range });
    expect(row).toMatchObject({ orders: 3, total: 3n * BigInt(unit_price), status: 'pending', currency: 'EUR' });
  });
});
