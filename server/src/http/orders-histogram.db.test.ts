import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';

const { server, rowCounts } = await openTestApi();
const { fastify } = server;

const dayMs = 86_400_000;
const today = Math.floor(Date.now() / dayMs) * dayMs;
const iso = (ms: number) => new Date(ms).toISOString();
const rows = Array.from({ length: 12 }, (_, i) => ({
  customer_id: i % 2 === 0 ? 'A' : 'B',
  order_number: `${i}`,
  placed_at: iso(today - (i % 3) * dayMs - dayMs),
  items: [{ sku: 'S', quantity: 1, unit_price: 100 + i }],
  ...(i === 0 ? { statuses: [{ status: 'failed', occurred_at: iso(today - dayMs + 1) }] } : {}),
}));
await fastify.inject({
  method: 'POST',
  url: '/api/v1/orders/bulk',
  headers: { 'content-type': 'application/x-ndjson' },
  payload: rows.map((row) => JSON.stringify(row)).join('\n'),
});

const histogram = (search: string) => fastify.inject(`/api/v1/orders/histogram?${search}`);
const range = `placed_from=${iso(today - 3 * dayMs)}&placed_to=${iso(today)}`;

describe('GET /api/v1/orders/histogram', () => {
  test('counts by interval, status and currency, totals as texts, and leaves out what has no orders', async () => {
    expect(await rowCounts()).toMatchObject({ orders: 12 });
    const answer = await histogram(`placed_from=${iso(today - 20 * dayMs)}&placed_to=${iso(today)}&interval=day`);
    expect(answer.statusCode).toBe(200);
    const row = (...[daysAgo, status, orders, total]: [number, string, number, string]) => ({
      start: iso(today - daysAgo * dayMs),
      status,
      currency: 'EUR',
      orders,
      total,
    });
    expect(answer.json()).toEqual({
      interval: 'day',
      placed_from: iso(today - 20 * dayMs),
      placed_to: iso(today),
      items: [
        row(3, 'pending', 4, '426'),
        row(2, 'pending', 4, '422'),
        row(1, 'cancelled', 1, '100'),
        row(1, 'pending', 3, '318'),
      ],
    });
  });

  test('takes status and customer, days unless hours are asked for, and a range that cuts an interval', async () => {
    const sum = async (search: string) =>
      (await histogram(`${range}&${search}`))
        .json()
        .items.reduce((n: number, item: { orders: number }) => n + item.orders, 0);
    expect(await sum('status=cancelled')).toBe(1);
    expect(await sum('status=pending,cancelled&interval=hour')).toBe(12);
    expect(await sum('customer_id=A')).toBe(6);
    const cut = await histogram(`placed_from=${iso(today - dayMs)}&placed_to=${iso(today - dayMs + 1)}`);
    expect(cut.json()).toMatchObject({ interval: 'day', items: [{ orders: 1 }, { orders: 3 }] });
    const empty = await histogram(`placed_from=${iso(today - dayMs + 1)}&placed_to=${iso(today)}`);
    expect(empty.json()).toMatchObject({ items: [] });
  });

  test.each([
    ['', '/query/placed_from', 'required'],
    ['placed_from=2025-01-01T00:00:00Z', '/query/placed_to', 'required'],
    ['placed_from=2025-01-02T00:00:00Z&placed_to=2025-01-01T00:00:00Z', '/query/placed_to', 'invalid_value'],
    ['placed_from=2025-01-01T00:00:00Z&placed_to=2025-01-01T00:00:00Z', '/query/placed_to', 'invalid_value'],
    [
      'placed_from=2020-01-01T00:00:00Z&placed_to=2022-01-01T00:00:00Z&interval=hour',
      '/query/placed_to',
      'invalid_value',
    ],
    ['placed_from=0001-01-01T00:00:00Z&placed_to=9999-01-01T00:00:00Z', '/query/placed_to', 'invalid_value'],
    [`${range}&interval=week`, '/query/interval', 'invalid_value'],
    [`${range}&status=shipped`, '/query/status', 'invalid_value'],
    [`${range}&limit=1`, '/query/limit', 'unknown_parameter'],
    [`${range}&interval=day&interval=hour`, '/query/interval', 'invalid_value'],
  ])('refuses ?%s and says where', async (search, pointer, code) => {
    const answer = await histogram(search);
    expect(answer.json()).toMatchObject({ status: 400, code: 'invalid_input' });
    expect(answer.json().errors).toContainEqual({ pointer, code, detail: expect.any(String) });
  });
});
