import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';
import { shipmentInconsistencies } from '../testing/test-shipments.ts';

const { server, app, rowCounts } = await openTestApi();
const { fastify } = server;

const send = async (type: string, payload: string | Buffer, more: { query?: string; encoding?: string } = {}) => {
  const answer = await fastify.inject({
    method: 'POST',
    url: `/api/v1/shipment-events/bulk${more.query ?? '?report=all'}`,
    headers: { 'content-type': type, ...(more.encoding === undefined ? {} : { 'content-encoding': more.encoding }) },
    payload,
  });
  return {
    statusCode: answer.statusCode,
    lines: answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  };
};
const ndjson = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
const create = async (tracking_number: string) => {
  const answer = await fastify.inject({
    method: 'POST',
    url: '/api/v1/shipments',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify({ carrier: 'DHL', tracking_number }),
  });
  expect(answer.statusCode).toBe(201);
};
const statusOf = async (number: string) => (await fastify.inject(`/api/v1/shipments/DHL/${number}`)).json().status;

describe('POST /api/v1/shipment-events/bulk', () => {
  test('records the rows of many shipments, tells each outcome, and recognises them when they come again', async () => {
    for (const number of ['A1', 'A2']) await create(number);
    const body = ndjson([
      { carrier: 'DHL', tracking_number: 'A1', code: 'delivered', occurred_at: hoursAgo(1) },
      { carrier: 'dhl', tracking_number: 'a-1', code: 'in-transit', occurred_at: hoursAgo(3) },
      { carrier: 'DHL', tracking_number: 'A2', status: 'in_transit', occurred_at: hoursAgo(2) },
      { carrier: 'DHL', tracking_number: 'A3', code: 'delivered', occurred_at: hoursAgo(2) },
      { carrier: 'DHL', tracking_number: 'A2', code: 'delivered', occurred_at: hoursAgo(-2) },
      { carrier: 'DHL', tracking_number: 'A2' },
    ]);
    const { statusCode, lines } = await send('application/x-ndjson', body);
    expect(statusCode).toBe(200);
    expect(lines).toMatchObject([
      { line: 1, outcome: 'recorded', seq: 1, status: 'delivered' },
      { line: 2, outcome: 'late', seq: 2, status: 'delivered' },
      { line: 3, outcome: 'recorded', seq: 1, status: 'in_transit' },
      { line: 4, outcome: 'rejected', code: 'shipment_not_found' },
      { line: 5, outcome: 'rejected', code: 'occurred_at_in_future' },
      { line: 6, outcome: 'rejected', code: 'invalid_input', errors: [{ pointer: '/code', code: 'required' }] },
      { summary: { rows: 6, recorded: 2, late: 1, replayed: 0, rejected: 3 } },
    ]);
    const before = await rowCounts();
    const again = await send('application/x-ndjson', gzipSync(body), { encoding: 'gzip', query: '' });
    expect(again.lines.at(-1)).toEqual({ summary: { rows: 6, recorded: 0, late: 0, replayed: 3, rejected: 3 } });
    expect(await rowCounts()).toEqual(before);
    expect([await statusOf('A1'), await statusOf('A2')]).toEqual(['delivered', 'in_transit']);
  });

  test('takes CSV, its columns in any order and case, empty cells left out', async () => {
    await create('B1');
    const { lines } = await send(
      'text/csv; charset=utf-8',
      `\uFEFFCode,Tracking Number,CARRIER,City,Occurred-At\r\nin-transit,B1,DHL,"Paris, 1er",${hoursAgo(2)}\r\nOut for delivery,b 1,dhl,,\r\nexception,B1\r\n`,
    );
    expect(lines).toMatchObject([
      { line: 2, outcome: 'recorded', seq: 1 },
      { line: 3, outcome: 'recorded', seq: 2, status: 'out_for_delivery' },
      { line: 4, outcome: 'rejected', code: 'malformed_row' },
      { summary: { rows: 3, recorded: 2, late: 0, replayed: 0, rejected: 1 } },
    ]);
    const { events } = (await fastify.inject('/api/v1/shipments/DHL/B1')).json();
    expect(events.map(({ city }: { city: string | null }) => city)).toEqual([null, 'Paris, 1er']);
  });

  test.each([
    ['Carrier,Code', 'the header lacks the column tracking_number'],
    ['carrier,tracking_number,code,city,CITY', 'the header names city twice'],
    ['carrier,tracking_number,code,weight', 'the header has no column "weight" here'],
    ['', 'the header is missing'],
  ])('refuses a CSV whose header is %j', async (header, detail) => {
    const { statusCode, lines } = await send('text/csv', header);
    expect(statusCode).toBe(400);
    expect(lines[0]).toMatchObject({ code: 'invalid_input', errors: [{ code: 'invalid_header' }] });
    expect(lines[0].detail).toContain(detail);
  });

  test('takes a JSON array', async () => {
    await create('C1');
    const { lines } = await send(
      'application/json',
      JSON.stringify([{ carrier: 'DHL', tracking_number: 'C1', code: 'delivered' }, null]),
    );
    expect(lines).toMatchObject([
      { line: 1, outcome: 'recorded' },
      { line: 2, outcome: 'rejected' },
      { summary: { recorded: 1 } },
    ]);
  });
});

test('what was written hangs together', async () => {
  expect(await shipmentInconsistencies(app.db)).toEqual([]);
});
