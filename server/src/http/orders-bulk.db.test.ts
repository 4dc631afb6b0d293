import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../core/ports.ts';
import { withAdmin } from '../testing/admin.ts';
import { openTestApi } from '../testing/test-api.ts';
import { partLines } from './bulk-parts.ts';

const endedEarly: object[] = [];
const { server, rowCounts, databaseUrl } = await openTestApi({
  http: { spoolLimitBytes: 8 * 1024 * 1024 },
  logger: { ...silentLogger, warn: (fields) => void endedEarly.push(fields) },
});
const { fastify } = server;

let url: string;
beforeAll(async () => {
  ({ url } = await server.listen('127.0.0.1', 0));
});

const ndjson = { 'content-type': 'application/x-ndjson' };
const row = (number: number | string, more: object = {}) =>
  JSON.stringify({
    customer_id: 'C',
    order_number: `${number}`,
    items: [{ sku: 'S', quantity: 1, unit_price: 100 }],
    ...more,
  });
const rows = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => row(`${prefix}${i}`)).join('\n');

async function bulk(payload: string | Buffer, options: { headers?: Record<string, string>; search?: string } = {}) {
  const answer = await fastify.inject({
    method: 'POST',
    url: `/api/v1/orders/bulk${options.search ?? ''}`,
    headers: { ...ndjson, ...options.headers },
    payload,
  });
  expect(answer.statusCode, answer.body).toBe(200);
  expect(answer.headers['content-type']).toBe('application/x-ndjson');
  return linesOf(answer.body);
}
const linesOf = (body: string) =>
  body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

interface Call {
  readonly request: ReturnType<typeof httpRequest>;
  readonly answer: Promise<IncomingMessage>;
}

function open(search = ''): Call {
  const request = httpRequest(`${url}/api/v1/orders/bulk${search}`, { method: 'POST', headers: ndjson, agent: false });
  request.on('error', () => {});
  request.flushHeaders();
  return {
    request,
    answer: new Promise((resolve, reject) => request.once('response', resolve).once('error', reject)),
  };
}

const send = (request: Call['request'], text: string) =>
  new Promise<void>((resolve) => request.write(text, () => resolve()));
async function read(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('POST /api/v1/orders/bulk', () => {
  test('stores rows, tells which it rejected by their lines, and sums up', async () => {
    const lines = [
      `\uFEFF${row('a1')}`,
      '',
      row('a2', { items: [] }),
      '   ',
      'nonsense',
      `${row('a3')}\r`,
      row('a1'),
      row('a1', { currency: 'GBP' }),
    ].join('\n');
    const before = await rowCounts();
    const told = await bulk(lines);
    expect(told).toEqual([
      {
        line: 3,
        outcome: 'rejected',
        code: 'invalid_input',
        detail: expect.any(String),
        errors: [{ pointer: '/items', code: 'too_small', detail: expect.any(String) }],
      },
      { line: 5, outcome: 'rejected', code: 'malformed_json', detail: expect.any(String) },
      {
        line: 8,
        outcome: 'rejected',
        code: 'order_key_reused',
        detail: expect.any(String),
        order_id: expect.any(String),
      },
      { summary: { rows: 6, created: 2, replayed: 1, rejected: 3, statuses_added: 0 } },
    ]);
    expect((await rowCounts())['orders']).toBe((before['orders'] ?? 0) + 2);
  });

  test('tells all outcomes, or none', async () => {
    const all = await bulk(rows('b', 3), { search: '?report=all' });
    expect(all.slice(0, 3)).toEqual(
      [1, 2, 3].map((line) => ({ line, outcome: 'created', order_id: expect.stringMatching(/^[0-9a-f-]{36}$/) })),
    );
    const replayed = await bulk(`${rows('b', 3)}\nx`, { search: '?report=all' });
    expect(replayed.slice(0, 3)).toEqual(all.slice(0, 3).map((outcome) => ({ ...outcome, outcome: 'replayed' })));
    expect(await bulk(`${rows('b', 3)}\nx`, { search: '?report=none' })).toEqual([
      { summary: { rows: 4, created: 0, replayed: 3, rejected: 1, statuses_added: 0 } },
    ]);
  });

  test('takes a JSON array, gzip, and nothing at all', async () => {
    const array = `[${[row('c1'), row('c2'), '7'].join(',')}]`;
    const told = await bulk(array, { headers: { 'content-type': 'application/json' } });
    expect(told).toMatchObject([{ line: 3, code: 'invalid_input' }, { summary: { rows: 3, created: 2, rejected: 1 } }]);
    expect(await bulk(gzipSync(rows('g', 50)), { headers: { 'content-encoding': 'gzip' } })).toMatchObject([
      { summary: { rows: 50, created: 50 } },
    ]);
    expect(await bulk('')).toMatchObject([{ summary: { rows: 0 } }]);
    expect(await bulk('[]', { headers: { 'content-type': 'application/json' } })).toMatchObject([
      { summary: { rows: 0 } },
    ]);
  });

  test('recognises rows without a number by Idempotency-Key and line', async () => {
    const anonymous = [1, 2].map((n) => row('', { order_number: undefined, customer_id: `anon${n}` })).join('\n\n');
    const headers = { 'idempotency-key': 'file-1' };
    expect(await bulk(anonymous, { headers })).toMatchObject([{ summary: { created: 2, replayed: 0 } }]);
    expect(await bulk(anonymous, { headers })).toMatchObject([{ summary: { created: 0, replayed: 2 } }]);
    expect(await bulk(anonymous, { headers: { 'idempotency-key': 'file-2' } })).toMatchObject([
      { summary: { created: 2 } },
    ]);
    const keys = await withAdmin(databaseUrl, (admin) =>
      admin.query(`select key from order_keys where key like 'file-1%' order by key`),
    );
    expect(keys.rows).toEqual([{ key: 'file-1/1' }, { key: 'file-1/3' }]);
  });

  test('adds the missing history of a replayed row', async () => {
    const at = (s: number) => new Date(Date.now() - 60_000 + s * 1_000).toISOString();
    const placed_at = at(0);
    const first = [{ status: 'complete', occurred_at: at(1) }];
    expect(await bulk(row('h', { placed_at, statuses: first }))).toMatchObject([{ summary: { created: 1 } }]);
    const longer = [...first, { status: 'cancelled', occurred_at: at(2), reason: 'refund' }];
    expect(await bulk(row('h', { placed_at, statuses: longer }))).toMatchObject([
      { summary: { replayed: 1, statuses_added: 1 } },
    ]);
  });

  test('rejects lines that are too long or no UTF-8 and goes on behind them', async () => {
    const payload = Buffer.concat([
      Buffer.from(`${row('l1')}\n{"customer_id":"${'x'.repeat(3_000_000)}"}\n`),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(row('l2')),
    ]);
    expect(await bulk(payload)).toMatchObject([
      { line: 2, outcome: 'rejected', code: 'line_too_long' },
      { line: 3, outcome: 'rejected', code: 'invalid_utf8' },
      { summary: { rows: 4, created: 2, rejected: 2 } },
    ]);
  });

  test('stores each part while the next one is still on its way', async () => {
    const { request, answer } = open('?report=all');
    await send(request, `${rows('p', partLines)}\n`);
    const response = await answer;
    expect(response.statusCode).toBe(200);
    const before = (await rowCounts())['orders'];
    request.end(rows('q', 10));
    const told = linesOf(await read(response));
    expect(told).toHaveLength(partLines + 11);
    expect(told.at(-1)).toMatchObject({ summary: { rows: partLines + 10, created: partLines + 10 } });
    expect((await rowCounts())['orders']).toBe((before ?? 0) + 10);
  });

  test('lets the client send everything before it reads anything', async () => {
    const { request, answer } = open('?report=all');
    await send(request, `${rows('e', 2 * partLines)}\n`);
    request.end();
    const told = linesOf(await read(await answer));
    expect(told).toHaveLength(2 * partLines + 1);
    expect(told.map(({ line }) => line).slice(0, -1)).toEqual(Array.from({ length: 2 * partLines }, (_, i) => i + 1));
  }, 60_000);

  test('ends with an error and no summary when unread outcomes pass the limit of the spool', async () => {
    const { request, answer } = open('?report=all');
    const bad = 'x\n'.repeat(20_000);
    // An answer that nobody reads fills the buffers of both sides, then the spool.
    for (let part = 0; part < 15 && !request.destroyed; part++) await send(request, bad);
    await until(() => endedEarly.length > 0);
    const told = linesOf(await read(await answer));
    expect(told.at(-1)).toMatchObject({ error: { status: 507, code: 'spool_full', type: '/problems/spool_full' } });
    expect(told.some((line) => 'summary' in line)).toBe(false);
    request.destroy();
  }, 60_000);

  test('answers with a problem when the first part cannot be stored, with an error line when a later one cannot', async () => {
    const rename = (from: string, to: string) =>
      withAdmin(databaseUrl, (admin) => admin.query(`alter table ${from} rename to ${to}`));
    const { request, answer } = open('?report=all');
    await send(request, `${rows('d', partLines)}\n`);
    const response = await answer;
    await rename('order_keys', 'order_keys_away');
    try {
      request.end(rows('f', 5));
      const told = linesOf(await read(response));
      expect(told).toHaveLength(partLines + 1);
      expect(told.at(-1)).toMatchObject({
        error: { status: 500, code: 'schema_mismatch', request_id: expect.any(String) },
      });
      expect(JSON.stringify(told.at(-1))).not.toContain('order_keys');
      const first = await fastify.inject({
        method: 'POST',
        url: '/api/v1/orders/bulk',
        headers: ndjson,
        payload: row('z'),
      });
      expect(first.json()).toMatchObject({ status: 500, code: 'schema_mismatch' });
    } finally {
      await rename('order_keys_away', 'order_keys');
    }
  });

  test('stops and frees everything when the client goes away, and is none the worse', async () => {
    const { request, answer } = open('?report=all');
    await send(request, `${rows('w', partLines)}\n${rows('v', 100)}`);
    await answer;
    request.destroy();
    await until(async () => (await running()) === 0);
    expect(await bulk(rows('w', 10))).toMatchObject([{ summary: { replayed: 10 } }]);
  });

  test('holds bounded memory before a client that sends and never reads, in parts too', async () => {
    const { port } = new URL(url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    const line = `${row('m')}\n`.repeat(500);
    socket.write(
      'POST /api/v1/orders/bulk?report=all HTTP/1.1\r\nHost: 127.0.0.1:' +
        port +
        '\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 160 && !socket.destroyed; i++) {
      const chunk = `${line.length.toString(16)}\r\n${line}\r\n`;
      await new Promise<void>((resolve) => socket.write(chunk, () => resolve()));
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(250 * 1024 * 1024);
    socket.destroy();
    await until(async () => (await running()) === 0);
  }, 60_000);
});

/** Connections of the server: a request that is over, and everything it held, leaves none. */
const running = () =>
  new Promise<number>((resolve, reject) =>
    server.fastify.server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
