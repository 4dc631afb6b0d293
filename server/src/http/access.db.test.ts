import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { partLines } from './bulk-parts.ts';

const logged: string[] = [];
const note = (fields: object, message: string) => void logged.push(JSON.stringify({ ...fields, message }));
const { server, app, key, rowCounts } = await openTestApi({
  mode: 'serve',
  authentication: 'required',
  logger: { debug: note, info: note, warn: note, error: note },
});
const { fastify } = server;
const readKey = await key('orders:read');
const writeKey = await key('orders:write');
const importKey = await key('orders:write', 'orders:import');
const adminKey = await key('admin');

const order = { customer_id: 'C', items: [{ sku: 'S', quantity: 1, unit_price: 100 }] };
const bearer = (text: string) => ({ authorization: `Bearer ${text}`, 'content-type': 'application/json' });
const create = (text: string, body: object = order) =>
  fastify.inject({ method: 'POST', url: '/api/v1/orders', headers: bearer(text), payload: JSON.stringify(body) });

describe('a server that asks for keys', () => {
  test('answers 401 without a valid one, and says how to send it', async () => {
    const before = await rowCounts();
    const wrong = `${writeKey.slice(0, -1)}${writeKey.endsWith('A') ? 'B' : 'A'}`;
    for (const authorization of [
      undefined,
      '',
      'Bearer',
      `Basic ${writeKey}`,
      writeKey,
      'Bearer mk_x',
      `Bearer ${wrong}`,
    ]) {
      const headers = { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) };
      const answer = await fastify.inject({
        method: 'POST',
        url: '/api/v1/orders',
        headers,
        payload: JSON.stringify(order),
      });
      expect(answer.statusCode).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
      expect(answer.json()).toMatchObject({ code: 'unauthenticated', type: '/problems/unauthenticated' });
    }
    expect(await rowCounts()).toEqual(before);
  });

  test('gives each key what its scopes allow, and says which one it lacks', async () => {
    const list = (text: string) => fastify.inject({ url: '/api/v1/orders', headers: bearer(text) });
    expect([(await create(writeKey)).statusCode, (await list(readKey)).statusCode]).toEqual([201, 200]);
    expect([(await create(adminKey)).statusCode, (await list(adminKey)).statusCode]).toEqual([201, 200]);
    expect((await create(readKey)).json()).toMatchObject({ status: 403, code: 'forbidden', scope: 'orders:write' });
    expect((await list(writeKey)).json()).toMatchObject({ status: 403, code: 'forbidden', scope: 'orders:read' });
  });

  test('asks on every path under /api/v1 and on no other', async () => {
    const id = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';
    for (const path of ['', '/count', '/export', '/cancelled/', `/${id}`, `/${id}/history`]) {
      expect((await fastify.inject(`/api/v1/orders${path}`)).statusCode, path).toBe(401);
    }
    for (const path of ['', '/bulk', `/${id}/status`])
      expect((await fastify.inject({ method: 'POST', url: `/api/v1/orders${path}` })).statusCode, path).toBe(401);
    for (const url of ['/healthz', '/readyz', '/metrics', '/openapi.json', '/problems'])
      expect((await fastify.inject(url)).statusCode, url).toBe(200);
  });

  test('lets only orders:import bring a history, and records who did', async () => {
    const row = JSON.stringify({
      ...order,
      order_number: 'H1',
      statuses: [{ status: 'complete', occurred_at: new Date().toISOString() }],
    });
    const bulk = async (text: string) =>
      (
        await fastify.inject({
          method: 'POST',
          url: '/api/v1/orders/bulk?report=all',
          headers: { ...bearer(text), 'content-type': 'application/x-ndjson' },
          payload: row,
        })
      ).body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    expect((await bulk(writeKey))[0]).toMatchObject({ line: 1, outcome: 'rejected', code: 'forbidden' });
    const [created] = await bulk(importKey);
    expect(created).toMatchObject({ outcome: 'created' });
    const history = (
      await fastify.inject({ url: `/api/v1/orders/${created.order_id}/history`, headers: bearer(readKey) })
    ).json();
    const actor = `import:${importKey.split('_')[1]}`;
    expect(history.items).toMatchObject([
      { status: 'pending', actor },
      { status: 'complete', actor },
    ]);
    const own = (await create(writeKey)).json().order_id;
    const ownHistory = (
      await fastify.inject({ url: `/api/v1/orders/${own}/history`, headers: bearer(readKey) })
    ).json();
    expect(ownHistory.items[0].actor).toBe(`key:${writeKey.split('_')[1]}`);
  });

  test('takes a revoked key no more from the next request on', async () => {
    const text = await key('orders:read');
    const read = async () => (await fastify.inject({ url: '/api/v1/orders/count', headers: bearer(text) })).statusCode;
    expect(await read()).toBe(200);
    await app.keys.revoke(text.split('_')[1] ?? '', 'test');
    expect(await read()).toBe(401);
  });

  test('ends a bulk request whose key is revoked meanwhile, without a summary', async () => {
    const text = await key('orders:write');
    const { url } = await server.listen('127.0.0.1', 0);
    const lines = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => `${JSON.stringify({ ...order, order_number: `R${from + i}` })}\n`).join(
        '',
      );
    const body = await new Promise<string>((resolve, reject) => {
      const call = httpRequest(
        `${url}/api/v1/orders/bulk?report=all`,
        { method: 'POST', headers: { ...bearer(text), 'content-type': 'application/x-ndjson' } },
        (answer) => {
          let told = '';
          let revoked = false;
          answer.on('data', (chunk: Buffer) => {
            told += chunk;
            if (revoked) return;
            revoked = true;
            // The first part is stored; the second one is sent after the key is gone.
            void app.keys.revoke(text.split('_')[1] ?? '', 'test').then(() => call.end(lines(partLines, partLines)));
          });
          answer.on('end', () => resolve(told));
        },
      );
      call.on('error', reject);
      call.write(lines(0, partLines));
    });
    const told = body.trim().split('\n');
    expect(JSON.parse(told.at(-1) ?? '')).toMatchObject({ error: { code: 'unauthenticated', status: 401 } });
    expect(body).not.toContain('"summary"');
    expect(told).toHaveLength(partLines + 1);
  });

  test('never logs a key', async () => {
    await create(writeKey, { nonsense: true });
    await fastify.inject({ url: `/api/v1/orders?customer_id=${readKey}`, headers: bearer(readKey) });
    const secrets = [readKey, writeKey, importKey, adminKey].map((text) => text.split('_')[2] ?? 'missing');
    for (const line of logged) for (const secret of secrets) expect(line).not.toContain(secret);
  });
});
