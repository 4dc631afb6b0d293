import { connect } from 'node:net';
import { parse } from 'csv-parse/sync';
import { beforeAll, describe, expect, test } from 'vitest';
import { openTestApi } from '../testing/test-api.ts';

const { server, app } = await openTestApi();
const { fastify } = server;

const formula = '=HYPERLINK("http://evil","x")';
const tricky = {
  customer_id: 'T',
  order_number: '-5',
  items: [
    { sku: formula, name: 'a "quoted", name\nin two lines', quantity: 2, unit_price: 1050 },
    { sku: '@sum', quantity: 1, unit_price: 1 },
  ],
};
const bulkRows = 3_000;

beforeAll(async () => {
  const lines = Array.from({ length: bulkRows }, (_, i) =>
    JSON.stringify({
      customer_id: 'B',
      order_number: `${i}`,
      items: [{ sku: 'S', name: 'x'.repeat(400), quantity: 1, unit_price: 100 }],
    }),
  );
  const bulk = (payload: string) =>
    fastify.inject({
      method: 'POST',
      url: '/api/v1/orders/bulk',
      headers: { 'content-type': 'application/x-ndjson' },
      payload,
    });
  await bulk(lines.join('\n'));
  await bulk([JSON.stringify(tricky), JSON.stringify({ ...tricky, order_number: 'yen', currency: 'JPY' })].join('\n'));
});

describe('GET /api/v1/orders/export', () => {
  test('streams NDJSON: every order of the filter, as the list shows it', async () => {
    const answer = await fastify.inject('/api/v1/orders/export?order=oldest&customer_id=B');
    expect(answer.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      'content-disposition': 'attachment; filename="orders.ndjson"',
    });
    const orders = answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(new Set(orders.map(({ order_number }) => order_number)).size).toBe(bulkRows);
    const { items } = (await fastify.inject('/api/v1/orders?order=oldest&customer_id=B&limit=500')).json();
    expect(orders.slice(0, 500)).toEqual(items);
  });

  test('writes CSV: a record an item, amounts in major units, formulas defused', async () => {
    const answer = await fastify.inject({
      url: '/api/v1/orders/export?customer_id=T&order=oldest',
      headers: { accept: 'text/csv' },
    });
    expect(answer.headers['content-type']).toMatch(/^text\/csv/);
    expect(answer.body).toMatch(/\r\n$/);
    const records = parse(answer.body, { columns: true }) as Record<string, string>[];
    expect(records).toHaveLength(4);
    const eur = records.find((record) => record['currency'] === 'EUR');
    expect(eur).toMatchObject({
      order_number: '-5',
      customer_id: 'T',
      total: '21.01',
      status: 'pending',
      sku: `'${formula}`,
      name: 'a "quoted", name\nin two lines',
      quantity: '2',
      unit_price: '10.50',
    });
    expect(records.map(({ sku }) => sku)).toContain("'@sum");
    expect(records.find((record) => record['currency'] === 'JPY')).toMatchObject({ total: '2101', unit_price: '1050' });
  });

  test('of nothing is empty, and of CSV the header', async () => {
    expect((await fastify.inject('/api/v1/orders/export?customer_id=nobody')).body).toBe('');
    expect(
      (await fastify.inject({ url: '/api/v1/orders/export?customer_id=nobody', headers: { accept: 'text/csv' } })).body,
    ).toMatch(/^order_id,.*unit_price\r\n$/);
  });

  test('refuses other types and unknown parameters', async () => {
    const html = await fastify.inject({ url: '/api/v1/orders/export', headers: { accept: 'text/html' } });
    expect(html.json()).toMatchObject({ status: 406, code: 'not_acceptable' });
    expect((await fastify.inject('/api/v1/orders/export?page=1')).statusCode).toBe(400);
  });

  test('reads no further than its reader, and stops when the reader goes', async () => {
    const { url } = await server.listen('127.0.0.1', 0);
    let pages = 0;
    let stopped = false;
    const [page] = await firstPage();
    const original = app.orders.streamOrders;
    // Endless: a server that did not wait for its reader would never come to rest.
    (app.orders as { streamOrders: unknown }).streamOrders = async function* () {
      try {
        for (;;) {
          pages++;
          yield page;
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        stopped = true;
      }
    };
    try {
      const { port } = new URL(url);
      const socket = connect(Number(port), '127.0.0.1');
      socket.pause();
      socket.write(`GET /api/v1/orders/export HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
      await until(() => pages > 1);
      // At rest: no page is asked for through many turns of the event loop.
      for (let quiet = 0, last = pages; quiet < 50; quiet++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (pages !== last) quiet = 0;
        last = pages;
      }
      // The buffers of the system take some megabytes, an endless export never comes to rest.
      expect(pages).toBeLessThan(200);
      expect(stopped).toBe(false);
      socket.destroy();
      await until(() => stopped);
    } finally {
      (app.orders as { streamOrders: unknown }).streamOrders = original;
    }
  });

  const firstPage = async () => {
    for await (const page of app.orders.streamOrders(
      { statuses: [], customerId: 'B', orderNumber: null, placedFrom: null, placedTo: null },
      'newest',
    ))
      return [page];
    throw new Error('There are orders.');
  };
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}
