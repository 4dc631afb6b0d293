import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { formatInstant, type Instant } from '../core/time.ts';
import { openTestApi } from '../testing/test-api.ts';

const { app, server, rowCounts } = await openTestApi();
const yesterday = formatInstant((Date.now() - 86_400_000) as Instant);

const record = (recordId: string, more: object = {}) => ({
  record_id: recordId,
  subscription_id: 'SUB789',
  usage_type: 'data',
  used_at: yesterday,
  used: 1024,
  price: '0.25',
  ...more,
});

const post = (payload: unknown, headers: Record<string, string> = {}) =>
  server.fastify.inject({
    method: 'POST',
    url: '/api/v1/usage/records',
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(payload),
  });

const bulk = (payload: Buffer | string, headers: Record<string, string> = {}) =>
  server.fastify.inject({
    method: 'POST',
    url: '/api/v1/usage/records/bulk',
    headers: { 'content-type': 'application/x-ndjson', ...headers },
    payload,
  });

const linesOf = (body: string): Record<string, unknown>[] =>
  body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a record, an array, and the same again', async () => {
  const first = await post(record('r1'));
  expect(first.statusCode).toBe(201);
  expect(first.json()).toMatchObject({ accepted: 1, duplicates: 0, rejected_rows: 0, rejected: [] });
  const { batch_id: batchId } = first.json();
  expect(batchId).toMatch(/^\d{16,19}$/);
  const array = await post([record('r1'), record('r2'), { ...record('r3'), price: 'NaN' }]);
  expect(array.json()).toMatchObject({ accepted: 1, duplicates: 1, rejected: [{ line: 3, code: 'invalid_input' }] });
  await app.usage.rollup.once();
  expect(await app.usage.waitForBatch(BigInt(batchId) as never, 0)).toBe(true);
});

test('a key is answered as before; another content under it is refused', async () => {
  const key = { 'idempotency-key': 'upload-7' };
  const first = await post([record('k1'), record('k2', { used: -1 })], key);
  const again = await post([record('k1'), record('k2', { used: -1 })], key);
  expect(again.statusCode).toBe(201);
  expect(again.headers['idempotent-replayed']).toBe('true');
  expect(again.json()).toEqual(first.json());
  const other = await post([record('k3')], key);
  expect(other.statusCode).toBe(422);
  expect(other.json()).toMatchObject({ code: 'batch_key_reused' });
});

test.each([
  [{ price: '1.1234567' }, 400, 'invalid_input'],
  [{ usage_type: 'sms' }, 422, 'usage_type_unknown'],
  [{ used_at: '2999-01-01T00:00:00Z' }, 422, 'in_future'],
  [{ used_at: '2001-01-01T00:00:00Z' }, 422, 'too_old'],
])('a single record with %j is a problem %i %s and leaves nothing', async (more, status, code) => {
  const before = await rowCounts();
  const answer = await post(record('p', more));
  expect([answer.statusCode, answer.json().code]).toEqual([status, code]);
  expect(await rowCounts()).toEqual(before);
});

test('arrays have 1 to 1,000 records', async () => {
  expect((await post([])).statusCode).toBe(400);
  expect((await post(Array.from({ length: 1_001 }, (_, i) => record(`a${i}`)))).json()).toMatchObject({
    code: 'too_many_rows',
  });
});

test('an upload as NDJSON, gzip and CSV', async () => {
  const text = Array.from({ length: 20_003 }, (_, i) => JSON.stringify(record(`b${i}`))).join('\n');
  const plain = await bulk(text);
  const lines = linesOf(plain.body);
  expect(plain.headers['content-type']).toContain('application/x-ndjson');
  expect(lines.slice(0, 2)).toMatchObject([
    { part: 1, first_line: 1, lines: 20_000, accepted: 20_000, replayed: false },
    { part: 2, first_line: 20_001, lines: 3, accepted: 3 },
  ]);
  expect(lines[2]).toEqual({
    summary: { parts: 2, accepted: 20_003, duplicates: 0, rejected_rows: 0, batch_id: lines[1]?.['batch_id'] },
  });
  const zipped = await bulk(gzipSync(text), { 'content-encoding': 'gzip' });
  expect(linesOf(zipped.body).at(-1)).toMatchObject({ summary: { accepted: 0, duplicates: 20_003 } });
  const csv = `record_id,subscription_id,usage_type,used_at,used,price\nc1,S,voice,${yesterday},60,0.5\n`;
  const table = await bulk(csv, { 'content-type': 'text/csv' });
  expect(linesOf(table.body).at(-1)).toMatchObject({ summary: { accepted: 1 } });
  expect((await bulk('a,b\n1,2\n', { 'content-type': 'text/csv' })).statusCode).toBe(400);
  expect((await bulk('[]', { 'content-type': 'application/json' })).statusCode).toBe(415);
  expect(linesOf((await bulk('')).body)).toMatchObject([{ summary: { parts: 0, batch_id: null } }]);
});

test('an upload whose connection is lost is sent again and nothing is doubled', async () => {
  const { url } = await server.listen('127.0.0.1', 0);
  const text = Buffer.from(Array.from({ length: 45_000 }, (_, i) => `${JSON.stringify(record(`l${i}`))}\n`).join(''));
  const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': 'lost' };
  const before = (await rowCounts())['usage_records'] ?? 0;
  const stored = async () => ((await rowCounts())['usage_records'] ?? 0) - before;
  const lost = httpRequest(`${url}/api/v1/usage/records/bulk`, { method: 'POST', headers });
  lost.on('error', () => {});
  // The second part is half sent: the first is stored, told, and then the sender is gone.
  lost.write(text.subarray(0, Math.floor(text.length * 0.6)));
  await expect.poll(stored, { timeout: 10_000 }).toBe(20_000);
  lost.destroy();
  const again = linesOf((await bulk(text, headers)).body);
  expect(again.slice(0, 3)).toMatchObject([
    { accepted: 20_000, replayed: true },
    { accepted: 20_000, replayed: false },
    { accepted: 5_000, replayed: false },
  ]);
  expect(await stored()).toBe(45_000);
  const third = await bulk(text, headers);
  expect(linesOf(third.body).map(({ replayed }) => replayed)).toEqual([true, true, true, undefined]);
});
