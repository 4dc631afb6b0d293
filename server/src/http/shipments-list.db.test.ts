import { describe, expect, test } from 'vitest';
import { dynamic, sql } from '../storage/sql.ts';
import { openTestApi } from '../testing/test-api.ts';
import { type shipmentPageSchema as PageSchema, shipmentPageSchema } from './shipment-representation.ts';

const { server, app } = await openTestApi();
const { fastify } = server;

type Page = ReturnType<typeof PageSchema.parse>;

// 30 shipments of three carriers to two cities; every fifth has trouble, every third was delivered, number 7 has two carriers.
const count = 30;
const carriers = ['DHL', 'UPS', 'DPD'] as const;
const orderId = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
const post = async (payload: unknown) => {
  const answer = await fastify.inject({
    method: 'POST',
    url: '/api/v1/shipments',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify(payload),
  });
  expect(answer.statusCode, answer.body).toBe(201);
};
for (let i = 0; i < count; i++) {
  await post({
    carrier: carriers[i % 3],
    tracking_number: `N-${i}`,
    receiver_address: i % 2 === 0 ? 'Street 1, 8001 Zürich, Switzerland' : 'Street 10, 75001 Paris, France',
    ...(i === 4 ? { order_id: orderId } : {}),
    events:
      i % 5 === 0
        ? [{ code: 'exception', occurred_at: hoursAgo(i + 1) }]
        : i % 3 === 0
          ? [{ code: 'delivered', occurred_at: hoursAgo(1) }]
          : [{ code: 'in-transit', occurred_at: hoursAgo(i === 8 ? 24 * 3 : 2) }],
  });
}
await post({ carrier: 'GLS', tracking_number: 'n7' });

async function pagesFrom(start: string): Promise<Page[]> {
  const pages: Page[] = [];
  for (let url: string | null = start; url !== null; ) {
    const answer = await fastify.inject(url);
    expect(answer.statusCode, answer.body).toBe(200);
    const page: Page = answer.json();
    expect(shipmentPageSchema.strict().parse(page)).toEqual(page);
    expect(answer.headers['link']).toBe(page.next === null ? undefined : `<${page.next}>; rel="next"`);
    pages.push(page);
    url = page.next;
  }
  return pages;
}
const walk = async (query: string): Promise<string[]> =>
  (await pagesFrom(`/api/v1/shipments?${query}`)).flatMap(({ items }) =>
    items.map((item) => `${item.carrier} ${item.tracking_number}`),
  );
const countOf = async (query: string) => (await fastify.inject(`/api/v1/shipments/count?${query}`)).json();
const refusal = async (url: string) => {
  const answer = await fastify.inject(url);
  expect(answer.statusCode, url).toBe(400);
  return answer.json();
};

describe('GET /api/v1/shipments', () => {
  test('walks all shipments newest first, and oldest first the other way round', async () => {
    const newest = await walk('limit=7');
    expect(newest).toHaveLength(count + 1);
    expect(new Set(newest).size).toBe(count + 1);
    expect(newest[0]).toBe('GLS n7');
    expect(await walk('limit=4&order=oldest')).toEqual([...newest].reverse());
    expect(await walk('limit=500')).toEqual(newest);
  });

  test.each([
    ['tracking_number=n%207', ['GLS n7', 'UPS N-7']],
    ['tracking_number=N-7&carrier=ups', ['UPS N-7']],
    ['carrier=g-l-s', ['GLS n7']],
    [`order_id=${orderId.toUpperCase()}`, ['UPS N-4']],
    ['city=ZURICH&carrier=GLS', []],
  ])('finds by %s, in any spelling', async (query, found) => {
    expect((await walk(query)).sort()).toEqual([...found].sort());
    expect(await countOf(query)).toEqual({ count: found.length, precision: 'exact' });
  });

  test.each([
    ['status=delivered', 8],
    ['status=exception,delivered', 14],
    ['city=zurich', 15],
    ['city=Z%C3%BCrich&country=CH', 15],
    ['country=fr', 15],
    ['country=France&status=exception', 3],
    ['carrier=dhl&country=CH&status=exception', 1],
    ['updated_from=2020-01-01T00:00:00Z', 31],
    ['updated_to=2020-01-01T00:00:00Z', 0],
    ['needs_attention=true', 6],
    ['needs_attention=true&silent_days=2', 7],
    ['needs_attention=true&carrier=dhl', 2],
  ])('%s selects %i, page by page and counted', async (query, expected) => {
    expect(await walk(`${query}&limit=3`)).toHaveLength(expected);
    expect(await countOf(query)).toEqual({ count: expected, precision: 'exact' });
  });

  test('shows attention by the silence that was asked for', async () => {
    const of = async (query: string) =>
      (await pagesFrom(`/api/v1/shipments?tracking_number=N-8${query}`))[0]?.items[0]?.attention;
    expect([await of(''), await of('&silent_days=2')]).toEqual([[], ['silent']]);
  });

  test('goes on behind its cursor while shipments are added, and repeats none', async () => {
    const first = (await fastify.inject('/api/v1/shipments?carrier=dhl&limit=4')).json();
    await post({ carrier: 'DHL', tracking_number: 'later' });
    const rest = await pagesFrom(first.next);
    const seen = [first, ...rest].flatMap(({ items }: Page) => items.map(({ tracking_number }) => tracking_number));
    expect(seen).toHaveLength(10);
    expect(new Set(seen).size).toBe(10);
    await app.db.query(dynamic(sql`delete from shipments where tracking_number = 'later'`));
  });

  test('carries its filters and its page size in next', async () => {
    const { next } = (
      await fastify.inject('/api/v1/shipments?status=exception,delivered&limit=2&order=oldest&country=ch')
    ).json();
    expect(next).toMatch(
      /^\/api\/v1\/shipments\?status=exception,delivered&country=CH&order=oldest&limit=2&cursor=[\w-]+$/,
    );
  });

  test('refuses a cursor of another query, of another list, and what is none', async () => {
    const { next_cursor } = (await fastify.inject('/api/v1/shipments?limit=1')).json();
    expect(await refusal(`/api/v1/shipments?limit=1&carrier=dhl&cursor=${next_cursor}`)).toMatchObject({
      code: 'cursor_mismatch',
    });
    expect(await refusal(`/api/v1/shipments?order=oldest&cursor=${next_cursor}`)).toMatchObject({
      code: 'cursor_mismatch',
    });
    for (const cursor of ['x', `${next_cursor}A`, 'AQ', '%00']) {
      expect(['cursor_malformed', 'invalid_input']).toContain(
        (await refusal(`/api/v1/shipments?limit=1&cursor=${cursor}`)).code,
      );
    }
    expect((await fastify.inject(`/api/v1/shipments?limit=9&cursor=${next_cursor}`)).statusCode).toBe(200);
  });

  test.each([
    ['tracking=N-7', 'unknown_parameter'],
    ['page=1', 'unknown_parameter'],
    ['status=lost', 'invalid_value'],
    ['status=', 'invalid_value'],
    ['carrier=', 'invalid_value'],
    ['carrier=%20-%20', 'invalid_value'],
    [`tracking_number=${'9'.repeat(65)}`, 'invalid_value'],
    ['tracking_number=a&tracking_number=b', 'invalid_value'],
    ['country=Atlantis', 'invalid_value'],
    ['order_id=7', 'invalid_value'],
    ['needs_attention=false', 'invalid_value'],
    ['silent_days=0', 'invalid_value'],
    ['updated_from=yesterday', 'invalid_value'],
    ['updated_from=2026-01-02T00:00:00Z&updated_to=2026-01-01T00:00:00Z', 'invalid_value'],
    ['city=%00', 'invalid_value'],
  ])('refuses ?%s, and so does its count', async (query, code) => {
    for (const path of ['', '/count']) {
      const problem = await refusal(`/api/v1/shipments${path}?${query}`);
      expect(problem).toMatchObject({ code: 'invalid_input', errors: [{ code }] });
    }
  });

  test.each(['limit=0', 'limit=501', 'order=sideways', 'order=newest&needs_attention=true'])(
    'refuses ?%s',
    async (query) => {
      expect(await refusal(`/api/v1/shipments?${query}`)).toMatchObject({ code: 'invalid_input' });
    },
  );
});
