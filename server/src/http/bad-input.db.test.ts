import { connect } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';

const { server, rowCounts, app } = await openTestApi();
const { fastify } = server;

const json = { 'content-type': 'application/json' };
const item = { sku: 'S', quantity: 1, unit_price: 100 };
const order = { customer_id: 'C', items: [item] };
const text = (document: unknown): string => JSON.stringify(document);
const withItem = (more: object): string => text({ ...order, items: [{ ...item, ...more }] });
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

let orderId: string;
let before: Record<string, number>;
beforeAll(async () => {
  orderId = (
    await fastify.inject({ method: 'POST', url: '/api/v1/orders', headers: json, payload: text(order) })
  ).json().order_id;
  before = await rowCounts();
});

const badDocuments: readonly (readonly [string, string])[] = [
  ['nothing at all', ''],
  ['white space', '  \n'],
  ['half a document', '{"customer_id": "C", "items": ['],
  ['words', 'hello'],
  ['two documents', '{}{}'],
  ['null', 'null'],
  ['a number', '17'],
  ['a string', '"x"'],
  ['an array', '[]'],
  ['no field', '{}'],
  ['an unknown field', text({ ...order, total: 1 })],
  ['statuses, which only bulk takes', text({ ...order, statuses: [] })],
  ['a customer that is a number', text({ ...order, customer_id: 7 })],
  ['a customer that is null', text({ ...order, customer_id: null })],
  ['a customer that is empty', text({ ...order, customer_id: '' })],
  ['a customer that is too long', text({ ...order, customer_id: 'x'.repeat(201) })],
  ['no items', text({ ...order, items: [] })],
  ['items that are an object', text({ ...order, items: {} })],
  ['too many items', text({ ...order, items: Array.from({ length: 1_001 }, () => item) })],
  ['a negative quantity', withItem({ quantity: -1 })],
  ['a quantity of 0', withItem({ quantity: 0 })],
  ['a fractional quantity', withItem({ quantity: 1.5 })],
  ['a quantity of 2^53', withItem({ quantity: 2 ** 53 })],
  ['a quantity as text', withItem({ quantity: '1' })],
  ['a quantity of 1e400', '{"customer_id":"C","items":[{"sku":"S","quantity":1e400,"unit_price":1}]}'],
  ['a negative price', withItem({ unit_price: -1 })],
  ['a fractional price', withItem({ unit_price: 0.5 })],
  ['a price of 2^53', withItem({ unit_price: 2 ** 53 })],
  ['a total beyond 2^53 - 1', withItem({ quantity: 2, unit_price: 2 ** 53 - 1 })],
  ['two prices', withItem({ price: 100 })],
  ['a NUL byte', text({ ...order, customer_id: 'a\u0000b' })],
  ['a lone surrogate', '{"customer_id":"\\ud800","items":[{"sku":"S","quantity":1,"unit_price":1}]}'],
  ['a lone surrogate in an item', '{"customer_id":"C","items":[{"sku":"\\udfff","quantity":1,"unit_price":1}]}'],
  ['an unknown currency', text({ ...order, currency: 'XXX' })],
  ['year 0001', text({ ...order, placed_at: '0001-01-01T00:00:00Z' })],
  ['year 0000', text({ ...order, placed_at: '0000-01-01T00:00:00Z' })],
  ['year 9999', text({ ...order, placed_at: '9999-12-31T23:59:59Z' })],
  ['the last hour of year 9999, far west', text({ ...order, placed_at: '9999-12-31T23:59:59-12:00' })],
  ['a date without a zone', text({ ...order, placed_at: '2026-01-01T00:00:00' })],
  ['a date that does not exist', text({ ...order, placed_at: '2026-02-30T00:00:00Z' })],
  ['a time as a number', text({ ...order, placed_at: 1_700_000_000 })],
  ['__proto__', '{"__proto__":{"admin":true},"customer_id":"C","items":[{"sku":"S","quantity":1,"unit_price":1}]}'],
  [
    '__proto__ in an item',
    '{"customer_id":"C","items":[{"sku":"S","quantity":1,"unit_price":1,"__proto__":{"quantity":5}}]}',
  ],
  ['constructor', text({ ...order, constructor: { prototype: { admin: true } } })],
  ['deep nesting', nested(100_000)],
  ['deep nesting in a field', `{"customer_id":${nested(50_000)},"items":${nested(50_000)}}`],
];

describe('POST /api/v1/orders', () => {
  test.each(badDocuments)('refuses %s with a problem', async (_name, payload) => {
    const answer = await fastify.inject({ method: 'POST', url: '/api/v1/orders', headers: json, payload });
    expectProblem(answer, [400, 422]);
  });

  test.each([
    ['is 422 for amounts beyond 2^53 - 1', withItem({ unit_price: 2 ** 53 }), 422, 'amount_too_large'],
    ['is 422 for totals beyond 2^53 - 1', withItem({ quantity: 2, unit_price: 2 ** 53 - 1 }), 422, 'amount_too_large'],
    [
      'is 422 for instants out of range',
      text({ ...order, placed_at: '9999-12-31T23:59:59Z' }),
      422,
      'placed_at_out_of_range',
    ],
    ['is 400 for wrong types', withItem({ quantity: '1' }), 400, 'invalid_input'],
    ['is 400 for what is no JSON', '{', 400, 'malformed_json'],
  ])('%s', async (...[, payload, status, code]) => {
    const answer = await fastify.inject({ method: 'POST', url: '/api/v1/orders', headers: json, payload });
    expect(answer.json()).toMatchObject({ status, code });
  });

  test.each([
    ['no type', {}],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['a form that is text', { 'content-type': 'text/plain' }],
    ['a form of parts', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['NDJSON', { 'content-type': 'application/x-ndjson' }],
    ['gzip', { ...json, 'content-encoding': 'gzip' }],
    ['a type that is none', { 'content-type': '////' }],
  ])('refuses %s with 415', async (_name, headers) => {
    const answer = await fastify.inject({ method: 'POST', url: '/api/v1/orders', headers, payload: text(order) });
    expectProblem(answer, [415]);
  });

  test('refuses bytes that are not UTF-8', async () => {
    const payload = Buffer.concat([Buffer.from('{"customer_id":"'), Buffer.of(0xff, 0xfe), Buffer.from('"}')]);
    const answer = await fastify.inject({ method: 'POST', url: '/api/v1/orders', headers: json, payload });
    expect(answer.json()).toMatchObject({ status: 400, code: 'invalid_utf8' });
  });

  test('refuses 10 MB with 413', async () => {
    const payload = text({ ...order, customer_id: 'x'.repeat(10_000_000) });
    expectProblem(await fastify.inject({ method: 'POST', url: '/api/v1/orders', headers: json, payload }), [413]);
  });
});

describe('POST /api/v1/orders/{id}/status', () => {
  test.each([
    ['nothing', ''],
    ['an unknown status', text({ status: 'shipped' })],
    ['a status that is a number', text({ status: 1 })],
    ['an unknown field', text({ status: 'complete', note: 'x' })],
    ['a reason that is empty', text({ status: 'cancelled', reason: '' })],
    ['a reason with NUL', text({ status: 'cancelled', reason: '\u0000' })],
    ['a key with a lone surrogate', '{"status":"complete","event_key":"\\ud800"}'],
    ['year 0000', text({ status: 'complete', occurred_at: '0000-06-01T00:00:00Z' })],
    ['an instant that is in year 0000 in UTC', text({ status: 'complete', occurred_at: '0001-01-01T00:00:00+05:00' })],
    ['year 9999', text({ status: 'complete', occurred_at: '9999-12-31T23:59:59Z' })],
    ['an instant that is in year 10000 in UTC', text({ status: 'complete', occurred_at: '9999-12-31T23:59:59-05:00' })],
    ['__proto__', '{"status":"complete","__proto__":{}}'],
  ])('refuses %s', async (_name, payload) => {
    const answer = await fastify.inject({
      method: 'POST',
      url: `/api/v1/orders/${orderId}/status`,
      headers: json,
      payload,
    });
    expectProblem(answer, [400, 422]);
  });
});

describe('POST /api/v1/orders/bulk', () => {
  test.each(
    badDocuments.filter(
      ([name, payload]) => payload.trim() !== '' && !name.startsWith('statuses') && !payload.includes('\n'),
    ),
  )('rejects the row that is %s and says which', async (_name, payload) => {
    const answer = await fastify.inject({
      method: 'POST',
      url: '/api/v1/orders/bulk',
      headers: { 'content-type': 'application/x-ndjson' },
      payload,
    });
    expect(answer.statusCode).toBe(200);
    const [row, last] = answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(row).toMatchObject({ line: 1, outcome: 'rejected', code: expect.any(String), detail: expect.any(String) });
    expect(last).toEqual({ summary: { rows: 1, created: 0, replayed: 0, rejected: 1, statuses_added: 0 } });
  });

  test.each([
    ['an unknown report', '?report=some', { 'content-type': 'application/x-ndjson' }, '{}', 400],
    ['another type', '', { 'content-type': 'text/csv' }, 'a,b', 415],
    ['another encoding', '', { 'content-type': 'application/x-ndjson', 'content-encoding': 'br' }, '{}', 415],
    ['gzip that is none', '', { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }, '{}', 400],
    ['an object where an array belongs', '', json, '{}', 400],
    ['half an array', '', json, '[{}', 400],
    ['an array of 1,001', '', json, JSON.stringify(Array.from({ length: 1_001 }, () => 1)), 400],
    ['an array of 2 MB', '', json, JSON.stringify(['x'.repeat(2_000_000)]), 413],
    ['a wrong Idempotency-Key', '', { 'content-type': 'application/x-ndjson', 'idempotency-key': 'a b' }, '{}', 400],
  ])('refuses %s', async (...[, search, headers, payload, status]) => {
    const answer = await fastify.inject({
      method: 'POST',
      url: `/api/v1/orders/bulk${search}`,
      headers: headers as never,
      payload,
    });
    expectProblem(answer, [status]);
  });
});

describe('URLs', () => {
  test.each([
    '/api/v1/orders?customer_id=%',
    '/api/v1/orders?customer_id=%zz',
    '/api/v1/orders?customer_id=%ff',
    '/api/v1/orders/%',
    '/api/v1/orders/%zz',
    '/api/v1/orders/%00',
    `/api/v1/orders/${'x'.repeat(1_000)}`,
    '/api/v1/orders/..%2f..%2fetc',
    '/api/v1/orders/00000000-0000-0000-0000-000000000000',
    '/api/v1/orders/0197c0b9-3e00-4a5c-9f3e-5d2f8c1b7a60',
    "/api/v1/orders/' or 1=1 --",
    '/api/v1/orders/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60?x=1',
    '/api/v1/orders/export?limit=1',
    '/problems/__proto__',
    '/problems/toString',
  ])('like %s are refused with a problem', async (url) => {
    expectProblem(await fastify.inject(url), [400, 404]);
  });
});

test('SQL in every string is stored as it is, and selects nothing else', async () => {
  const evil = '\'; drop table orders; --\\ " $1 %s {} #{1+1}';
  const counts = await rowCounts();
  const document = { customer_id: evil, order_number: evil, items: [{ ...item, sku: evil, name: evil }] };
  const created = await fastify.inject({
    method: 'POST',
    url: '/api/v1/orders',
    headers: json,
    payload: text(document),
  });
  expect(created.statusCode).toBe(201);
  expect(created.json()).toMatchObject(document);
  const id = created.json().order_id;
  const status = { status: 'cancelled', reason: evil, event_key: evil };
  expect(
    (await fastify.inject({ method: 'POST', url: `/api/v1/orders/${id}/status`, headers: json, payload: text(status) }))
      .statusCode,
  ).toBe(201);
  const search = new URLSearchParams({ customer_id: evil, order_number: evil });
  const listed = (await fastify.inject(`/api/v1/orders?${search}`)).json().items;
  expect(listed).toMatchObject([{ ...document, status: 'cancelled', reason: evil }]);
  const history = (await fastify.inject(`/api/v1/orders/${id}/history`)).json().items;
  expect(history).toMatchObject([{ status: 'pending' }, { status: 'cancelled', reason: evil, event_key: evil }]);
  expect(await rowCounts()).toEqual({
    ...counts,
    orders: (counts['orders'] ?? 0) + 1,
    order_keys: (counts['order_keys'] ?? 0) + 1,
    order_statuses: (counts['order_statuses'] ?? 0) + 2,
  });
  before = await rowCounts();
});

describe('on a socket', () => {
  const speak = async (bytes: string | Buffer): Promise<string> => {
    const { port } = await listening;
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      const chunks: Buffer[] = [];
      socket
        .on('data', (chunk) => chunks.push(chunk))
        .on('close', () => resolve(Buffer.concat(chunks).toString()))
        .on('error', reject);
    });
  };
  const listening = server.listen('127.0.0.1', 0).then(({ url }) => ({ url, port: Number(new URL(url).port) }));

  test('what is no HTTP gets a problem', async () => {
    const answer = await speak('NONSENSE\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\nContent-Type: application\/problem\+json/);
    expect(answer).toContain('"code":"malformed_request"');
  });

  test('headers that are too large get 431', async () => {
    expect(await speak(`GET / HTTP/1.1\r\nHost: x\r\nBig: ${'x'.repeat(20_000)}\r\n\r\n`)).toContain(
      '"code":"headers_too_large"',
    );
  });

  test('a client that sends 10 MB and only then reads still learns why it was refused', async () => {
    const { url } = await listening;
    const answer = await fetch(`${url}/api/v1/orders`, {
      method: 'POST',
      headers: json,
      body: text({ ...order, customer_id: 'x'.repeat(10_000_000) }),
    });
    expect([answer.status, await codeOf(answer)]).toEqual([413, 'body_too_large']);
  });
});

test('none of this wrote a row or ended the server', async () => {
  expect(await rowCounts()).toEqual(before);
  expect((await fastify.inject('/readyz')).statusCode).toBe(200);
  expect(app.orders.queued()).toEqual({ orders: 0, statuses: 0 });
});

function expectProblem(
  answer: { statusCode: number; headers: object; body: string },
  statuses: readonly number[],
): void {
  expect(statuses, answer.body).toContain(answer.statusCode);
  expect(answer.headers).toMatchObject({
    'content-type': expect.stringMatching(/^application\/problem\+json/),
    'x-request-id': expect.any(String),
  });
  const problem = JSON.parse(answer.body);
  expect(problem).toMatchObject({
    status: answer.statusCode,
    type: `/problems/${problem.code}`,
    title: expect.any(String),
    detail: expect.stringMatching(/.+/),
    request_id: expect.any(String),
    instance: expect.any(String),
  });
  expect(answer.body).not.toMatch(/node_modules|\bat .*\.ts|select |insert /i);
}

const codeOf = async (answer: Response): Promise<unknown> => ((await answer.json()) as { code: unknown }).code;
