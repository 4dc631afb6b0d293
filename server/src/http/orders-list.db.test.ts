import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';

const { server } = await openTestApi();
const { fastify } = server;

interface Page {
  readonly items: readonly { readonly order_id: string; readonly status: string; readonly placed_at: string }[];
  readonly next_cursor: string | null;
  readonly next: string | null;
  readonly prev_cursor: string | null;
  readonly prev: string | null;
}

// 60 orders over four months, every third one cancelled, every second one of customer A.
const count = 60;
const monthsAgo = (n: number) => new Date(Date.now() - n * 30 * 86_400_000);
const lines = Array.from({ length: count }, (_, i) => {
  const placedAt = new Date(monthsAgo(4).getTime() + i * 2 * 86_400_000);
  return JSON.stringify({
    customer_id: i % 2 === 0 ? 'A' : 'B',
    order_number: `N${i}`,
    placed_at: placedAt.toISOString(),
    items: [{ sku: 'S', quantity: 1, unit_price: 100 }],
    ...(i % 3 === 0
      ? { statuses: [{ status: 'failed', occurred_at: new Date(placedAt.getTime() + 1_000).toISOString() }] }
      : {}),
  });
}).join('\n');
await fastify.inject({
  method: 'POST',
  url: '/api/v1/orders/bulk',
  headers: { 'content-type': 'application/x-ndjson' },
  payload: lines,
});

const get = async (url: string): Promise<Page> => {
  const answer = await fastify.inject(url);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json();
};

const linkOf = ({ next, prev }: Page) => {
  const links = [
    ...(next === null ? [] : [`<${next}>; rel="next"`]),
    ...(prev === null ? [] : [`<${prev}>; rel="prev"`]),
  ];
  return links.length === 0 ? undefined : links.join(', ');
};
const idsOf = ({ items }: Page) => items.map(({ order_id }) => order_id);

async function pagesFrom(start: string, way: 'next' | 'prev' = 'next'): Promise<Page[]> {
  const pages: Page[] = [];
  for (let url: string | null = start; url !== null; ) {
    const answer = await fastify.inject(url);
    const page: Page = answer.json();
    pages.push(page);
    expect(answer.headers['link']).toBe(linkOf(page));
    url = page[way];
  }
  return pages;
}
const walk = async (start: string): Promise<string[]> => (await pagesFrom(start)).flatMap(idsOf);

describe('GET /api/v1/orders', () => {
  test('walks all orders newest first, and oldest first the other way round', async () => {
    const newest = await walk('/api/v1/orders?limit=7');
    expect(newest).toHaveLength(count);
    expect(newest).toEqual([...new Set(newest)].sort().reverse());
    expect(await walk('/api/v1/orders?limit=7&order=oldest')).toEqual([...newest].reverse());
    expect(await walk('/api/v1/orders?limit=7&page=1')).toEqual(newest);
    expect(await walk('/api/v1/orders/?limit=500')).toEqual(newest);
  });

  test('filters by status, customer, number and time, and any of them together', async () => {
    expect(await walk('/api/v1/orders?status=cancelled')).toHaveLength(20);
    expect(await walk('/api/v1/orders?status=pending,cancelled&limit=9')).toHaveLength(count);
    expect(await walk('/api/v1/orders?customer_id=A&limit=4')).toHaveLength(30);
    expect(await walk('/api/v1/orders?customer_id=A&status=cancelled')).toHaveLength(10);
    const one = (await get('/api/v1/orders?customer_id=A&order_number=N6')).items;
    expect(one).toHaveLength(1);
    const at = one[0]?.placed_at ?? '';
    expect(await walk(`/api/v1/orders?placed_from=${at}`)).toHaveLength(count - 6);
    expect(await walk(`/api/v1/orders?placed_to=${at}`)).toHaveLength(6);
    expect(await walk(`/api/v1/orders?placed_from=${at.replace('Z', '+00:00')}&status=pending&limit=3`)).toHaveLength(
      36,
    );
    expect((await get('/api/v1/orders?customer_id=B&order_number=N6')).items).toEqual([]);
  });

  test("has the brief's links as they stand", async () => {
    const first = await get('/api/v1/orders/cancelled/?limit=8');
    const second = await get('/api/v1/orders/cancelled/?page=2&limit=8');
    expect(first.items).toHaveLength(8);
    expect(second.items.every(({ status }) => status === 'cancelled')).toBe(true);
    expect(second.next).toBe('/api/v1/orders/cancelled/?limit=8&page=3');
    expect(await walk('/api/v1/orders/cancelled/?page=1&limit=8')).toEqual(
      await walk('/api/v1/orders?status=cancelled'),
    );
    expect((await get('/api/v1/orders/cancelled?page=99')).items).toEqual([]);
  });

  test.each([
    '/api/v1/orders?limit=7',
    '/api/v1/orders?limit=7&order=oldest&status=pending,cancelled',
    '/api/v1/orders?customer_id=A&limit=4',
    '/api/v1/orders/cancelled/?limit=3',
    '/api/v1/orders?limit=7&page=1',
  ])('walks %s backwards as it walked forwards', async (start) => {
    const pages = await pagesFrom(start);
    expect(pages.length).toBeGreaterThan(3);
    expect(pages[0]).toMatchObject({ prev: null, prev_cursor: null });
    const last = pages.at(-1)?.prev ?? '';
    const back = (await pagesFrom(last, 'prev')).reverse();
    expect(back.map(idsOf)).toEqual(pages.slice(0, -1).map(idsOf));
    expect(back[0]).toMatchObject({ prev: null, prev_cursor: null });
    expect(back[0]?.next).not.toBeNull();
  });

  test('gives prev_cursor for other page sizes, bound to the filters as next_cursor is', async () => {
    const first = await get('/api/v1/orders?limit=10');
    const second = await get(`/api/v1/orders?limit=10&cursor=${first.next_cursor}`);
    expect(second.prev).toBe(`/api/v1/orders?limit=10&cursor=${second.prev_cursor}`);
    expect(idsOf(await get(`/api/v1/orders?limit=3&cursor=${second.prev_cursor}`))).toEqual(idsOf(first).slice(7));
    const refused = await fastify.inject(`/api/v1/orders?status=pending&cursor=${second.prev_cursor}`);
    expect(refused.json()).toMatchObject({ status: 400, code: 'cursor_mismatch' });
    expect(await get('/api/v1/orders?customer_id=A&order_number=N6')).toMatchObject({ next: null, prev: null });
  });

  test('refuses pages that begin behind row 10,000', async () => {
    const deep = await fastify.inject('/api/v1/orders?page=201&limit=50');
    expect(deep.statusCode).toBe(400);
    expect(deep.json()).toMatchObject({ code: 'page_too_deep' });
    expect((await fastify.inject('/api/v1/orders?page=200&limit=50')).statusCode).toBe(200);
  });

  test('refuses a cursor of another query, and page beside cursor', async () => {
    const { next_cursor } = await get('/api/v1/orders?limit=5');
    const refused = async (search: string) => (await fastify.inject(`/api/v1/orders?${search}`)).json();
    expect(await refused(`cursor=${next_cursor}&status=cancelled`)).toMatchObject({
      status: 400,
      code: 'cursor_mismatch',
    });
    expect(await refused(`cursor=${next_cursor}&order=oldest`)).toMatchObject({ status: 400, code: 'cursor_mismatch' });
    expect(await refused(`cursor=${next_cursor}&page=2`)).toMatchObject({
      status: 400,
      errors: [{ pointer: '/query/page' }],
    });
    expect(await refused('cursor=nonsense')).toMatchObject({ status: 400, code: 'cursor_malformed' });
    expect(await get(`/api/v1/orders?limit=9&cursor=${next_cursor}`)).toMatchObject({ items: expect.any(Array) });
  });

  test.each([
    ['limit=abc', '/query/limit'],
    ['limit=0', '/query/limit'],
    ['limit=501', '/query/limit'],
    ['limit=1.5', '/query/limit'],
    ['limit=1&limit=2', '/query/limit'],
    ['limit=', '/query/limit'],
    ['status=unknown', '/query/status'],
    ['status=', '/query/status'],
    ['status=failed', '/query/status'],
    ['order=up', '/query/order'],
    ['order_number=N1', '/query/order_number'],
    ['placed_from=yesterday', '/query/placed_from'],
    ['placed_from=2026-02-30T00:00:00Z', '/query/placed_from'],
    ['placed_from=2026-02-02T00:00:00Z&placed_to=2026-02-01T00:00:00Z', '/query/placed_to'],
    ['page=0', '/query/page'],
    ['customer_id=%00', '/query/customer_id'],
    ['unknown=1', '/query/unknown'],
    ['__proto__=1', '/query/__proto__'],
    ['constructor=1', '/query/constructor'],
  ])('refuses ?%s and says where', async (search, pointer) => {
    const answer = await fastify.inject(`/api/v1/orders?${search}`);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({
      code: 'invalid_input',
      errors: [{ pointer, code: expect.any(String), detail: expect.any(String) }],
    });
  });
});

describe('GET /api/v1/orders/count', () => {
  test('counts what the same filters list', async () => {
    expect((await fastify.inject('/api/v1/orders/count')).json()).toEqual({ count, precision: 'exact' });
    expect((await fastify.inject('/api/v1/orders/count?status=cancelled&customer_id=A')).json()).toEqual({
      count: 10,
      precision: 'exact',
    });
    expect((await fastify.inject('/api/v1/orders/count?limit=1')).statusCode).toBe(400);
  });
});

describe('a list of more than 10,000 orders', () => {
  test('leads from its last page to a cursor, which goes on where the page ended', async () => {
    const many = Array.from({ length: 10_600 }, (_, i) =>
      JSON.stringify({ customer_id: 'D', order_number: `${i}`, items: [{ sku: 'S', quantity: 1, unit_price: 1 }] }),
    ).join('\n');
    const headers = { 'content-type': 'application/x-ndjson' };
    await fastify.inject({ method: 'POST', url: '/api/v1/orders/bulk', headers, payload: many });
    const list = '/api/v1/orders?customer_id=D&limit=500';
    const last = await get(`${list}&page=20`);
    expect(last.next).toMatch(/^\/api\/v1\/orders\?customer_id=D&limit=500&cursor=[\w-]+$/);
    const ids = await walk(`${list}&page=19`);
    expect(ids).toEqual((await walk(list)).slice(9_000));
    expect(ids).toHaveLength(1_600);
    const behind = await get(last.next ?? '');
    expect(idsOf(await get(behind.prev ?? ''))).toEqual(idsOf(last));
    expect((await fastify.inject('/api/v1/orders/count?customer_id=D')).json()).toEqual({
      count: 10_000,
      precision: 'at_least',
    });
  });
});
