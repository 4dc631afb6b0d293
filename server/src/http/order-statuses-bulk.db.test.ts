import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { partLines } from './bulk-parts.ts';

const { server, rowCounts } = await openTestApi();
const { fastify } = server;

const ndjson = { 'content-type': 'application/x-ndjson' };
const linesOf = (body: string) =>
  body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const post = (url: string, payload: string | Buffer, headers: Record<string, string> = {}) =>
  fastify.inject({ method: 'POST', url: `/api/v1${url}`, headers: { ...ndjson, ...headers }, payload });

/** Makes orders of a customer with the numbers 0, 1 …; returns their ids. */
async function given(customer_id: string, count: number): Promise<string[]> {
  const rows = Array.from({ length: count }, (_, i) => ({
    customer_id,
    order_number: `${i}`,
    items: [{ sku: 'S', quantity: 1, unit_price: 100 }],
  }));
  const answer = await post('/orders/bulk?report=all', rows.map((row) => JSON.stringify(row)).join('\n'));
  return linesOf(answer.body)
    .slice(0, -1)
    .map(({ order_id }) => order_id);
}

async function bulk(
  rows: readonly (object | string)[],
  options: { headers?: Record<string, string>; search?: string } = {},
) {
  const payload = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n');
  const answer = await post(`/order-statuses/bulk${options.search ?? ''}`, payload, options.headers);
  expect(answer.statusCode, answer.body).toBe(200);
  return linesOf(answer.body);
}
const historyOf = async (id: string | undefined) => (await fastify.inject(`/api/v1/orders/${id}/history`)).json().items;

describe('POST /api/v1/order-statuses/bulk', () => {
  test('records rows by id and by number, tells what it rejected, and sums up', async () => {
    const [a, b] = await given('A', 3);
    const told = await bulk([
      { order_id: a, status: 'complete', event_key: 'paid' },
      { customer_id: 'A', order_number: '1', status: 'failed' },
      '',
      { customer_id: 'A', order_number: '1', status: 'complete' },
      { order_id: a, status: 'complete', event_key: 'paid' },
      { order_id: a, status: 'complete' },
      { order_id: a, status: 'cancelled' },
      { order_id: a, status: 'complete', occurred_at: '2020-01-01T00:00:00Z', reason: 'early' },
      { order_id: a, status: 'cancelled', event_key: 'paid' },
      { customer_id: 'A', order_number: '99', status: 'complete' },
      { order_id: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', status: 'complete' },
      { order_id: a, status: 'cancelled', reason: 'r', occurred_at: '2999-01-01T00:00:00Z' },
    ]);
    expect(told.slice(0, -1).map(({ line, outcome, code }) => [line, outcome, code])).toEqual([
      [4, 'rejected', 'status_conflict'],
      [7, 'rejected', 'reason_required'],
      [9, 'rejected', 'event_key_reused'],
      [10, 'rejected', 'order_not_found'],
      [11, 'rejected', 'order_not_found'],
      [12, 'rejected', 'occurred_at_in_future'],
    ]);
    expect(told[0]).toMatchObject({ order_id: b, current: 'cancelled', allowed: [], detail: expect.any(String) });
    expect(told.at(-1)).toEqual({
      summary: { rows: 11, recorded: 2, late: 1, unchanged: 1, replayed: 1, rejected: 6 },
    });
    expect((await historyOf(b)).at(-1)).toMatchObject({ status: 'cancelled', reason: 'payment_failed', actor: 'dev' });
  });

  test('tells all outcomes, or none', async () => {
    const [id] = await given('R', 1);
    const rows = [{ order_id: id, status: 'complete', occurred_at: new Date().toISOString() }, 'nonsense'];
    expect(await bulk(rows, { search: '?report=all' })).toEqual([
      { line: 1, outcome: 'recorded', order_id: id, status: 'complete' },
      { line: 2, outcome: 'rejected', code: 'malformed_json', detail: expect.any(String) },
      { summary: { rows: 2, recorded: 1, late: 0, unchanged: 0, replayed: 0, rejected: 1 } },
    ]);
    expect(await bulk(rows, { search: '?report=none' })).toMatchObject([{ summary: { rows: 2, unchanged: 1 } }]);
  });

  test('takes a JSON array of up to 1,000 rows, gzip, and nothing at all', async () => {
    const ids = await given('J', 2);
    const rows = ids.map((order_id) => ({ order_id, status: 'complete' }));
    const array = await post('/order-statuses/bulk', JSON.stringify([...rows, 7]), {
      'content-type': 'application/json',
    });
    expect(linesOf(array.body)).toMatchObject([
      { line: 3, code: 'invalid_input' },
      { summary: { rows: 3, recorded: 2, rejected: 1 } },
    ]);
    const many = JSON.stringify(Array.from({ length: 1_001 }, () => rows[0]));
    const refused = await post('/order-statuses/bulk', many, { 'content-type': 'application/json' });
    expect(refused.json()).toMatchObject({ status: 400, code: 'too_many_rows' });
    const packed = gzipSync(rows.map((row) => JSON.stringify(row)).join('\n'));
    const answer = await post('/order-statuses/bulk', packed, { 'content-encoding': 'gzip' });
    expect(linesOf(answer.body)).toMatchObject([{ summary: { rows: 2, unchanged: 2 } }]);
    expect(await bulk([])).toMatchObject([{ summary: { rows: 0 } }]);
    expect((await post('/order-statuses/bulk', 'x', { 'content-type': 'text/plain' })).statusCode).toBe(415);
    expect((await post('/order-statuses/bulk?report=some', '')).statusCode).toBe(400);
  });

  test('sent again with the same Idempotency-Key changes nothing, late rows included', async () => {
    const ids = await given('K', 3);
    const rows = ids.flatMap((order_id) => [
      { order_id, status: 'complete' },
      { order_id, status: 'cancelled', reason: 'refund' },
      { order_id, status: 'pending', occurred_at: '2020-01-01T00:00:00Z' },
    ]);
    const options = { headers: { 'idempotency-key': 'day-1' } };
    expect(await bulk(rows, options)).toMatchObject([{ summary: { rows: 9, recorded: 6, late: 3 } }]);
    const before = await rowCounts();
    expect(await bulk(rows, options)).toMatchObject([{ summary: { rows: 9, replayed: 9 } }]);
    expect(await rowCounts()).toEqual(before);
    expect((await historyOf(ids[0])).map(({ event_key }: { event_key: string }) => event_key)).toEqual([
      null,
      'day-1/1',
      'day-1/2',
      'day-1/3',
    ]);
  });

  test('keeps the order of the rows across parts', async () => {
    const ids = await given('P', 500);
    const complete = Array.from({ length: partLines }, (_, i) => ({ order_id: ids[i % 500], status: 'complete' }));
    // If the second part were judged first, pending orders would be cancelled without a reason.
    const cancelled = ids.map((order_id) => ({ order_id, status: 'cancelled' }));
    const told = await bulk([...complete, ...cancelled]);
    expect(told.at(-1)).toEqual({
      summary: {
        rows: partLines + 500,
        recorded: 500,
        late: 0,
        unchanged: partLines - 500,
        replayed: 0,
        rejected: 500,
      },
    });
    expect(new Set(told.slice(0, -1).map(({ code }) => code))).toEqual(new Set(['reason_required']));
  });

  test.each([
    ['no order', { status: 'complete' }, '/order_id', 'required'],
    ['a number without its customer', { order_number: '1', status: 'complete' }, '/customer_id', 'required'],
    ['a customer without a number', { customer_id: '1', status: 'complete' }, '/order_number', 'required'],
    ['an id that is none', { order_id: 'ORD1', status: 'complete' }, '/order_id', 'invalid_value'],
    [
      'an order named twice',
      { order_id: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', order_number: '1', status: 'complete' },
      '/order_number',
      'ambiguous',
    ],
    ['no status', { customer_id: 'A', order_number: '1' }, '/status', 'invalid_value'],
    ['an unknown field', { customer_id: 'A', order_number: '1', status: 'complete', x: 1 }, '/x', 'unknown_field'],
    [
      'a NUL in a key',
      { customer_id: 'A', order_number: '1', status: 'complete', event_key: '\u0000' },
      '/event_key',
      '',
    ],
    ['nothing', null, '', 'invalid_type'],
    ['a number', 7, '', 'invalid_type'],
  ])('rejects a row with %s and says where', async (...[, row, pointer, code]) => {
    const [told, last] = await bulk([JSON.stringify(row)]);
    expect(told).toMatchObject({ line: 1, outcome: 'rejected', code: 'invalid_input' });
    expect(told.errors).toContainEqual(
      expect.objectContaining({ pointer, ...(code === '' ? {} : { code }), detail: expect.any(String) }),
    );
    expect(last).toMatchObject({ summary: { rows: 1, rejected: 1 } });
  });
});
