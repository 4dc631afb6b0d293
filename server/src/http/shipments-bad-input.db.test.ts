import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Scope } from '../domains/access/api-key.ts';
import { openTestApi } from '../testing/test-api.ts';
import { shipmentInconsistencies } from '../testing/test-shipments.ts';

const failed: string[] = [];
const note = (fields: object, message: string) => {
  if (message === 'a request failed') failed.push(JSON.stringify(fields));
};
const { server, rowCounts, app, key } = await openTestApi({
  mode: 'serve',
  authentication: 'required',
  http: { trackRequestsPerMinute: 1_000_000 },
  logger: { debug: note, info: note, warn: note, error: note },
});
const { fastify } = server;
const json = { 'content-type': 'application/json', authorization: `Bearer ${await key('admin')}` };
const shipment = { carrier: 'DHL', tracking_number: 'T1' };
const text = (document: unknown): string => JSON.stringify(document);
const send = (url: string, payload: string, headers: Record<string, string> = json) =>
  fastify.inject({ method: 'POST', url, headers, payload });

let before: Record<string, number>;
beforeAll(async () => {
  expect((await send('/api/v1/shipments', text({ carrier: 'DHL', tracking_number: 'STAYS' }))).statusCode).toBe(201);
  before = await rowCounts();
});

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
const article = { name: 'A', quantity: 1 };
type Bad = readonly [name: string, payload: string, status?: number];
const refused = (cases: readonly Bad[]) => cases.map(([name, payload, status = 400]) => ({ name, payload, status }));

const badShipments = refused([
  ['nothing at all', ''],
  ['half a document', '{"carrier": "D"'],
  ['null', 'null'],
  ['an array', '[]'],
  ['no field', '{}'],
  ['no number', text({ carrier: 'DHL' })],
  ['an unknown field', text({ ...shipment, status: 'delivered' })],
  ['a number that is a number', text({ ...shipment, tracking_number: 7 })],
  ['a number of hyphens', text({ ...shipment, tracking_number: ' - ' })],
  ['a number that is too long', text({ ...shipment, tracking_number: '9'.repeat(65) })],
  ['a carrier that is empty', text({ ...shipment, carrier: '' })],
  ['a NUL byte', text({ ...shipment, carrier: 'a\u0000b' })],
  ['a lone surrogate', '{"carrier":"\\ud800","tracking_number":"1"}'],
  ['__proto__', '{"__proto__":{"x":1},"carrier":"D","tracking_number":"1"}'],
  ['an address that is a text', text({ ...shipment, sender: 'Street 1' })],
  ['an address without one', text({ ...shipment, sender: { city: 'Paris' } })],
  ['a country that is none', text({ ...shipment, receiver: { address: 'x', country: 'Atlantis' } })],
  ['two addresses of one side', text({ ...shipment, sender: { address: 'a' }, sender_address: 'b' })],
  ['a currency that is none', text({ ...shipment, currency: 'EURO' })],
  ['an order that is none', text({ ...shipment, order_id: 'ORD1' })],
  ['a day that does not exist', text({ ...shipment, expected_on: '2026-02-30' })],
  ['a quantity of 0', text({ ...shipment, articles: [{ ...article, quantity: 0 }] })],
  ['half an article', text({ ...shipment, articles: [{ ...article, quantity: 0.5 }] })],
  ['a price below 0', text({ ...shipment, articles: [{ ...article, unit_price: -1 }] })],
  ['a price in fractions', text({ ...shipment, articles: [{ ...article, unit_price: 1.5 }] })],
  ['a price beyond 2^53', text({ ...shipment, articles: [{ ...article, unit_price: 2 ** 53 }] }), 422],
  [
    'one SKU twice',
    text({
      ...shipment,
      articles: [
        { ...article, sku: 'S' },
        { ...article, sku: 'S' },
      ],
    }),
  ],
  [
    '501 articles',
    text({ ...shipment, articles: Array.from({ length: 501 }, (_, i) => ({ ...article, sku: `${i}` })) }),
  ],
  ['an event ahead of time', text({ ...shipment, events: [{ code: 'x', occurred_at: '2999-01-01T00:00:00Z' }] }), 422],
  ['deep nesting', nested(100_000)],
  ['deep nesting in a field', `{"carrier":${nested(50_000)},"tracking_number":"1"}`],
]);
const badEvents = refused([
  ['nothing at all', ''],
  ['null', 'null'],
  ['no code', '{}'],
  ['an empty code', text({ code: ' ' })],
  ['a code that is too long', text({ code: 'x'.repeat(65) })],
  ['both names of the code', text({ code: 'a', status: 'a' })],
  ['a time without a zone', text({ code: 'x', occurred_at: '2026-11-20T07:45:00' })],
  ['a time ahead', text({ code: 'x', occurred_at: '2999-01-01T00:00:00Z' }), 422],
  ['an unknown field', text({ code: 'x', seq: 1 })],
  ['a NUL byte', text({ code: 'x', city: 'a\u0000' })],
]);

test.each(badShipments)('POST /api/v1/shipments refuses $name', async ({ payload, status }) => {
  expectProblem(await send('/api/v1/shipments', payload), [status]);
});

test.each(badEvents)('POST …/events refuses $name', async ({ payload, status }) => {
  expectProblem(await send('/api/v1/shipments/DHL/STAYS/events', payload), [status]);
});

test.each(badEvents.filter(({ payload }) => payload !== ''))(
  'POST /api/v1/shipment-events/bulk rejects the row that is $name',
  async ({ payload }) => {
    const document: unknown = JSON.parse(payload);
    const row = document === null ? null : { carrier: 'DHL', tracking_number: 'STAYS', ...(document as object) };
    const answer = await send('/api/v1/shipment-events/bulk', `${text(row)}\n`, {
      ...json,
      'content-type': 'application/x-ndjson',
    });
    expect(answer.statusCode).toBe(200);
    const [told, last] = answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(told).toMatchObject({ line: 1, outcome: 'rejected', code: expect.any(String), detail: expect.any(String) });
    expect(last).toEqual({ summary: { rows: 1, recorded: 0, late: 0, replayed: 0, rejected: 1 } });
  },
);

test('refuses other media types', async () => {
  for (const url of ['/api/v1/shipments', '/api/v1/shipments/DHL/STAYS/events', '/api/v1/shipment-events/bulk'])
    expectProblem(await send(url, 'x', { ...json, 'content-type': 'text/plain' }), [415]);
});

test('none of this wrote a row', async () => {
  expect(await rowCounts()).toEqual(before);
  expect(app.shipments.queued()).toEqual({ shipments: 0, events: 0 });
});

describe('whatever is sent', () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({ unit: 'grapheme', maxLength: 70 }),
    fc.string({ unit: 'binary-ascii', maxLength: 66 }),
    fc.constantFrom(
      'STAYS',
      's t-a y s',
      '..',
      '.',
      '%',
      '/',
      '\u0000',
      'ﷺ'.repeat(64),
      '😀'.repeat(32),
      "' or 1=1 --",
    ),
  );
  const encoded = anyText.map((one) => encodeURIComponent(one.toWellFormed()));
  const rawPart = fc.oneof(
    encoded,
    fc.stringMatching(/^[!-~]{0,40}$/).map((one) => one.replaceAll(/[#?]/g, '')),
  );
  const paths = fc.tuple(fc.constantFrom('shipments', 'track'), rawPart, rawPart);

  test('paths never fail, and never find what they do not name', async () => {
    await fc.assert(
      fc.asyncProperty(paths, async ([which, carrier, number]) => {
        const url = `/api/v1/${which}/${carrier}/${number}`;
        const answer = await fastify.inject({ url, headers: { authorization: json.authorization } });
        if (answer.statusCode === 200) expect(answer.json().tracking_number ?? 'STAYS').toBe('STAYS');
        else expectProblem(answer, [400, 404]);
      }),
      { numRuns: 300 },
    );
  });

  test('parameters never fail, and what they do not refuse they answer', async () => {
    const names = fc.constantFrom(
      ...['tracking_number', 'carrier', 'status', 'city', 'country', 'order_id', 'needs_attention', 'silent_days'],
      ...['updated_from', 'updated_to', 'order', 'limit', 'cursor', 'x'],
    );
    const values = fc.oneof(
      anyText,
      fc.constantFrom('true', '7', 'oldest', 'FR', 'delivered', 'exception,unknown', 'Zürich', '2026-11-20T07:45:00Z'),
      fc.constantFrom('0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60'),
    );
    const query = fc.array(fc.tuple(names, values), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(query, fc.constantFrom('', '/count'), async (pairs, path) => {
        const search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&');
        const answer = await fastify.inject({ url: `/api/v1/shipments${path}?${search}`, headers: json });
        if (answer.statusCode !== 200) expectProblem(answer, [400]);
      }),
      { numRuns: 300 },
    );
  });

  test('forged cursors never fail', async () => {
    const page = await fastify.inject({
      url: '/api/v1/shipments?limit=1&updated_from=2020-01-01T00:00:00Z',
      headers: json,
    });
    expect(page.statusCode).toBe(200);
    const places = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.bigInt({ min: -(10n ** 16n), max: 10n ** 16n }).map(String),
    );
    const ids = fc.constantFrom('', '/', '/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', '/x');
    const { encodePlace } = await import('./place-cursor.ts');
    const { boundTo, shipmentListQuery } = await import('./shipment-query.ts');
    const queries = fc.constantFrom<Record<string, string>>(
      {},
      { updated_from: '2020-01-01T00:00:00Z' },
      { needs_attention: 'true' },
    );
    await fc.assert(
      fc.asyncProperty(places, ids, queries, async (place, id, query) => {
        const cursor = encodePlace(`${place}${id}`, boundTo(shipmentListQuery.parse(query)));
        const search = new URLSearchParams({ ...query, cursor: cursor.slice(0, 200) });
        const answer = await fastify.inject({ url: `/api/v1/shipments?${search}`, headers: json });
        if (answer.statusCode !== 200) expectProblem(answer, [400]);
      }),
      { numRuns: 300 },
    );
  });

  test('documents never fail, and what is stored is found again under its own names', async () => {
    const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined });
    const documents = fc.record({
      carrier: anyText,
      tracking_number: anyText,
      sender_address: maybe(anyText),
      receiver: maybe(fc.record({ address: anyText, city: maybe(anyText), country: maybe(anyText) })),
      articles: maybe(
        fc.array(fc.record({ name: anyText, sku: maybe(anyText), quantity: fc.integer() }), { maxLength: 3 }),
      ),
      events: maybe(fc.array(fc.record({ code: anyText, city: maybe(anyText) }), { maxLength: 3 })),
    });
    await fc.assert(
      fc.asyncProperty(documents, async (document) => {
        const answer = await send('/api/v1/shipments', text(document));
        if (answer.statusCode !== 201) return expectProblem(answer, [400, 422]);
        const found = await fastify.inject({ url: String(answer.headers.location), headers: json });
        expect(found.json()).toEqual(answer.json());
      }),
      { numRuns: 200 },
    );
    expect(await shipmentInconsistencies(app.db)).toEqual([]);
  });

  test('nothing of it was a fault of the server', () => {
    expect(failed).toEqual([]);
  });
});

describe('each scope opens its own calls and no other', () => {
  const calls: Partial<Record<Scope, readonly { method: 'GET' | 'POST'; path: string; payload?: string }[]>> = {
    'shipments:read': [
      { method: 'GET', path: 'shipments/DHL/STAYS' },
      { method: 'GET', path: 'shipments' },
      { method: 'GET', path: 'shipments/count' },
    ],
    'shipments:write': [
      { method: 'POST', path: 'shipments', payload: text({ carrier: 'DHL', tracking_number: 'SCOPES' }) },
      { method: 'POST', path: 'shipments/DHL/STAYS/events', payload: text({ code: 'in-transit' }) },
      { method: 'POST', path: 'shipment-events/bulk', payload: '[]' },
    ],
  };
  const owners = Object.keys(calls) as Scope[];

  test.each([...owners, 'orders:write', 'shipments:import'] as const)('%s', async (scope) => {
    const bearer = `Bearer ${await key(scope)}`;
    for (const owner of owners) {
      for (const { method, path, payload } of calls[owner] ?? []) {
        const request = {
          method,
          url: `/api/v1/${path}`,
          ...(payload === undefined ? {} : { payload }),
        };
        const type = payload === undefined ? {} : { 'content-type': 'application/json' };
        const answer = await fastify.inject({ ...request, headers: { ...type, authorization: bearer } });
        if (owner === scope) expect([200, 201], `${path} ${answer.body}`).toContain(answer.statusCode);
        else expect(answer.json(), path).toMatchObject({ status: 403, code: 'forbidden', scope: owner });
        expect((await fastify.inject({ ...request, headers: type })).statusCode, path).toBe(401);
      }
    }
  });
});

function expectProblem(
  answer: { statusCode: number; headers: object; body: string },
  allowed: readonly number[],
): void {
  expect(allowed, answer.body).toContain(answer.statusCode);
  expect(answer.headers).toMatchObject({ 'content-type': expect.stringMatching(/^application\/problem\+json/) });
  const problem = JSON.parse(answer.body);
  expect(problem).toMatchObject({
    status: answer.statusCode,
    type: `/problems/${problem.code}`,
    detail: expect.stringMatching(/.+/),
    request_id: expect.any(String),
  });
  expect(answer.body).not.toMatch(/node_modules|\bat .*\.ts:|select .* from |insert into /i);
}
