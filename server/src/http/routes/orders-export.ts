import { Readable } from 'node:stream';
import { z } from 'zod';
import { formatMajorUnits } from '../../core/money.ts';
import { formatInstant } from '../../core/time.ts';
import { itemsOf, type Order } from '../../domains/orders/order.ts';
import { negotiate } from '../accept.ts';
import type { Caller } from '../authenticate.ts';
import { csvRecord } from '../csv.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { exportQuery } from '../order-query.ts';
import { orderJson, orderSchema } from '../order-representation.ts';

const mediaTypes = ['application/x-ndjson', 'text/csv'] as const;

/** The export of a whole list at the reader's pace. */
export function addOrderExportRoute(routes: Routes, { app: { orders } }: HttpDeps): void {
  routes.get(
    '/orders/export',
    {
      schema: {
        summary: 'Export orders',
        description: `NDJSON (one order a line, as in the list) or CSV (one record an item, the order repeated; amounts in major units, "25.00"; cells that a spreadsheet would run as formulas begin with an apostrophe), by the header Accept. An export that fails midway breaks the connection off: what has a proper end is whole. ${mayBeTorn('several customers, or a salted one,')}`,
        tags: ['orders'],
        querystring: exportQuery,
      },
      config: {
        scope: 'orders:read',
        streams: true,
        problems: ['not_acceptable'],
        streamedAnswer: { 'application/x-ndjson': orderSchema, 'text/csv': z.string() },
      },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const type = negotiate(request.headers.accept, mediaTypes);
      const pages = confirmed(orders.streamOrders(request.query.filter, request.query.direction), request.caller);
      const text = type === 'text/csv' ? toCsv(pages) : toLines(pages);
      const name = type === 'text/csv' ? 'orders.csv' : 'orders.ndjson';
      return reply
        .headers({
          'content-type': type === 'text/csv' ? 'text/csv; charset=utf-8; header=present' : type,
          'content-disposition': `attachment; filename="${name}"`,
          vary: 'accept',
        })
        .send(Readable.from(text, { objectMode: false, highWaterMark: 64 * 1024 }));
    },
  );
}

type Pages = AsyncIterable<readonly Order[]>;

/** A key that is revoked during an export ends it. */
async function* confirmed(pages: Pages, caller: Caller): AsyncGenerator<readonly Order[]> {
  let isFirst = true;
  for await (const page of pages) {
    if (!isFirst) await caller.confirm();
    isFirst = false;
    yield page;
  }
}

async function* toLines(pages: Pages): AsyncGenerator<string> {
  for await (const page of pages) yield `${page.map(orderJson).join('\n')}\n`;
}

const columns = [
  'order_id',
  'order_number',
  'customer_id',
  'placed_at',
  'currency',
  'total',
  'status',
  'status_at',
  'reason',
  'version',
  'sku',
  'name',
  'quantity',
  'unit_price',
] as const;

/** CSV text of pages of orders: a first line with the columns, then one record an item. */
export async function* toCsv(pages: Pages): AsyncGenerator<string> {
  yield csvRecord(columns);
  for await (const page of pages) yield page.map(recordsOf).join('');
}

function recordsOf(order: Order): string {
  const amount = (minor: number) => formatMajorUnits(BigInt(minor), order.currency);
  const shared = [
    order.orderId,
    order.orderNumber,
    order.customerId,
    formatInstant(order.placedAt),
    order.currency,
    amount(order.total),
    order.status,
    formatInstant(order.statusAt),
    order.reason,
    order.version,
  ];
  return itemsOf(order)
    .map(({ sku, name, quantity, unit_price }) =>
      csvRecord([...shared, sku, name ?? null, quantity, amount(unit_price)]),
    )
    .join('');
}
