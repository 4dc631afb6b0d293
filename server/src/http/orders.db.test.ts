import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';

const { server, rowCounts } = await openTestApi();
const { fastify } = server;

const items = [
  { sku: 'SHOE001', quantity: 1, unit_price: 2999 },
  { sku: 'BAG002', name: 'Bag', quantity: 2, unit_price: 1999 },
];
let numbers = 0;
const unique = (prefix: string) => `${prefix}-${++numbers}`;
const post = (url: string, payload: unknown, headers: Record<string, string> = {}) =>
  fastify.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(payload),
  });
const create = async (more: object = {}) =>
  (await post('/api/v1/orders', { customer_id: unique('C'), items, ...more })).json();

describe('POST /api/v1/orders', () => {
  test('answers 201 with the order, its Location and its ETag', async () => {
    const answer = await post('/api/v1/orders', { customer_id: 'CUST789', order_number: unique('N'), items });
    expect(answer.statusCode).toBe(201);
    const order = answer.json();
    expect(order).toMatchObject({
      customer_id: 'CUST789',
      currency: 'EUR',
      total: 6997,
      items,
      status: 'pending',
      reason: null,
      version: 1,
      next_statuses: ['complete', 'cancelled'],
    });
    expect(answer.headers).toMatchObject({
      location: `/api/v1/orders/${order.order_id}`,
      etag: '"v1"',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    expect((await fastify.inject(String(answer.headers.location))).json()).toEqual(order);
  });

  test("takes the brief's own document", async () => {
    const answer = await post('/api/v1/orders', {
      order_id: 'ORD123456',
      customer_id: 'CUST789',
      timestamp: '2026-06-30T12:30:00Z',
      items: [
        { sku: 'SHOE001', quantity: 1, price: 2999 },
        { sku: 'BAG002', quantity: 2, price: 1999 },
      ],
    });
    expect(answer.statusCode).toBe(201);
    expect(answer.json()).toMatchObject({
      order_number: 'ORD123456',
      placed_at: '2026-06-30T12:30:00.000Z',
      total: 6997,
    });
  });

  test.each([
    ['its order_number', { order_number: 'R1' }, {}],
    ['the Idempotency-Key', {}, { 'idempotency-key': 'R2' }],
  ])('recognises the same order sent again by %s', async (_by, more, headers) => {
    const body = { customer_id: 'replay', items, ...more };
    const first = await post('/api/v1/orders', body, headers);
    const before = await rowCounts();
    const second = await post('/api/v1/orders', body, headers);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    expect(second.headers['idempotent-replayed']).toBe('true');
    expect(second.json()).toEqual(first.json());
    expect(second.headers.location).toBe(first.headers.location);
    expect(await rowCounts()).toEqual(before);
    const other = await post('/api/v1/orders', { ...body, items: items.slice(1) }, headers);
    expect(other.statusCode).toBe(422);
    expect(other.json()).toMatchObject({ code: 'order_key_reused', order_id: first.json().order_id });
  });

  test.each(['', 'with space', 'ü', 'x'.repeat(256), 'tab\tbed'])('refuses the Idempotency-Key %j', async (key) => {
    const answer = await post('/api/v1/orders', { customer_id: 'K', items }, { 'idempotency-key': key });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().errors[0].pointer).toBe('/headers/idempotency-key');
  });
});

describe('GET /api/v1/orders/{id}', () => {
  test('answers 304 while the version is known, and the order once it changed', async () => {
    const { order_id } = await create();
    const url = `/api/v1/orders/${order_id}`;
    const read = (path: string) => fastify.inject({ url: path, headers: { 'if-none-match': '"v1"' } });
    expect(await read(url)).toMatchObject({ statusCode: 304, body: '' });
    expect(await read(`${url}/history`)).toMatchObject({ statusCode: 304 });
    await post(`${url}/status`, { status: 'complete' });
    const changed = await read(url);
    expect(changed.statusCode).toBe(200);
    expect(changed.headers).toMatchObject({ etag: '"v2"', 'cache-control': 'private, no-cache' });
    expect(changed.json()).toMatchObject({ status: 'complete', version: 2, next_statuses: ['cancelled'] });
    expect((await read(`${url}/history`)).json().items.map((row: { status: string }) => row.status)).toEqual([
      'pending',
      'complete',
    ]);
  });

  test('of an unknown order is 404, and an order number in its place gets a hint', async () => {
    for (const path of ['', '/history']) {
      const answer = await fastify.inject(`/api/v1/orders/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60${path}`);
      expect(answer.statusCode).toBe(404);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(answer.json()).toMatchObject({
        code: 'order_not_found',
        type: '/problems/order_not_found',
        instance: expect.stringContaining('/api/v1/orders/0197'),
      });
    }
    const hint = await fastify.inject('/api/v1/orders/ORD123456');
    expect(hint.statusCode).toBe(400);
    expect(hint.json().errors[0]).toMatchObject({
      pointer: '/path/id',
      detail: expect.stringContaining('order_number'),
    });
  });
});

describe('POST /api/v1/orders/{id}/status', () => {
  const report = async (body: object, headers: Record<string, string> = {}, of?: string) => {
    const id = of ?? (await create()).order_id;
    return post(`/api/v1/orders/${id}/status`, body, headers);
  };

  test('records a legal move and refuses an illegal one with what is allowed', async () => {
    const { order_id } = await create();
    const done = await report({ status: 'complete' }, {}, order_id);
    expect([done.statusCode, done.json().outcome, done.json().status, done.headers.etag]).toEqual([
      201,
      'recorded',
      'complete',
      '"v2"',
    ]);
    const back = await report({ status: 'pending' }, {}, order_id);
    expect(back.statusCode).toBe(409);
    expect(back.json()).toMatchObject({
      code: 'status_conflict',
      current: 'complete',
      allowed: ['cancelled'],
      version: 2,
    });
    expect((await report({ status: 'cancelled' }, {}, order_id)).json()).toMatchObject({
      status: 422,
      code: 'reason_required',
    });
  });

  test('answers 200 where the order has the status already, 201 late for an older event', async () => {
    const { order_id, placed_at } = await create();
    const same = await report({ status: 'pending' }, {}, order_id);
    expect([same.statusCode, same.json().outcome]).toEqual([200, 'unchanged']);
    const before = new Date(Date.parse(placed_at) - 60_000).toISOString();
    const late = await report({ status: 'complete', occurred_at: before }, {}, order_id);
    expect([late.statusCode, late.json().outcome, late.json().status]).toEqual([201, 'late', 'pending']);
  });

  test('takes `failed` for cancelled by a failed payment', async () => {
    expect((await report({ status: 'failed' })).json()).toMatchObject({
      status: 'cancelled',
      reason: 'payment_failed',
      next_statuses: [],
    });
  });

  test.each([
    ['event_key', { event_key: 'E1' }, {}],
    ['Idempotency-Key', {}, { 'idempotency-key': 'E2' }],
  ])('recognises an event sent again by its %s', async (_name, more, headers) => {
    const { order_id } = await create();
    const first = await report({ status: 'complete', ...more }, headers, order_id);
    const second = await report({ status: 'complete', ...more }, headers, order_id);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect([first.json().outcome, second.json().outcome]).toEqual(['recorded', 'replayed']);
    expect(second.headers['idempotent-replayed']).toBe('true');
    const other = await report({ status: 'cancelled', reason: 'x', ...more }, headers, order_id);
    expect(other.json()).toMatchObject({ status: 422, code: 'event_key_reused' });
  });

  test('with If-Match happens only to the version that was read', async () => {
    const { order_id } = await create();
    expect((await report({ status: 'complete' }, { 'if-match': '"v9"' }, order_id)).json()).toMatchObject({
      status: 412,
      code: 'version_mismatch',
    });
    expect((await report({ status: 'complete' }, { 'if-match': '"v1"' }, order_id)).statusCode).toBe(201);
    expect((await report({ status: 'complete' }, { 'if-match': 'nonsense' }, order_id)).statusCode).toBe(400);
  });

  test('of an unknown order is 404', async () => {
    expect((await report({ status: 'complete' }, {}, '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60')).statusCode).toBe(404);
  });
});

describe('the server', () => {
  test('answers other methods 405 with Allow, and other paths 404, as problems', async () => {
    const wrong = await fastify.inject({
      method: 'DELETE',
      url: '/api/v1/orders/0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
    });
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers.allow).toBe('GET, HEAD');
    const put = await fastify.inject({ method: 'PUT', url: '/api/v1/orders', payload: { a: 1 } });
    expect([put.statusCode, put.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
    for (const url of ['/nothing', '/api/v1/nothing', '/api/v2/orders']) {
      const unknown = await fastify.inject(url);
      expect(unknown.statusCode).toBe(404);
      expect(unknown.json()).toMatchObject({ code: 'not_found', request_id: unknown.headers['x-request-id'] });
    }
  });

  test('resolves the type of every problem it answers', async () => {
    const { type } = (await fastify.inject('/nothing')).json();
    expect((await fastify.inject(type)).json()).toMatchObject({ code: 'not_found', status: 404 });
    const page = await fastify.inject({ url: type, headers: { accept: 'text/html,*/*;q=0.8' } });
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.body).toContain('not_found');
    expect((await fastify.inject('/problems/nonsense')).statusCode).toBe(404);
  });

  test('tells of its health and shows its documentation', async () => {
    expect((await fastify.inject('/healthz')).json()).toEqual({ status: 'alive' });
    expect((await fastify.inject('/readyz')).json()).toEqual({ status: 'ready' });
    expect((await fastify.inject('/')).headers.location).toBe('/docs');
    expect((await fastify.inject('/openapi.json')).json()).toHaveProperty('openapi', '3.1.0');
    const docs = await fastify.inject('/docs');
    const page =
      docs.statusCode === 302
        ? await fastify.inject(new URL(String(docs.headers.location), 'http://localhost/docs').pathname)
        : docs;
    expect(page.body).toContain('swagger-ui');
    for (const [, path] of page.body.matchAll(/(?:src|href)="(?:\.\/)?([^"]+)"/g)) {
      const asset = await fastify.inject(new URL(String(path), 'http://localhost/docs/').pathname);
      expect(asset.statusCode, String(path)).toBe(200);
    }
    expect(page.body).not.toMatch(/(src|href)="https?:/);
  });

  test('counts requests by route and group commits by queue', async () => {
    await create();
    const { body, headers } = await fastify.inject('/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain/);
    expect(body).toMatch(
      /milliard_http_request_duration_seconds_count\{method="POST",route="\/api\/v1\/orders",status="201"\} \d+/,
    );
    expect(body).toMatch(/milliard_group_commit_rows_count\{queue="orders"\} [1-9]/);
    expect(body).toContain('milliard_database_pool_connections{pool="requests",state="idle"}');
    expect(body).toContain('milliard_group_commit_queued_rows{queue="statuses"} 0');
  });
});
