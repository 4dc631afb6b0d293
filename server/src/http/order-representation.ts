import { z } from 'zod';
import { formatInstant } from '../core/time.ts';
import { itemsOf, type Order } from '../domains/orders/order.ts';
import { nextStatuses, type OrderStatus, orderStatuses, type StatusRow } from '../domains/orders/order-status.ts';

const moment = () => z.string().meta({ format: 'date-time' });
const status = z.enum(orderStatuses);

const orderItem = z
  .object({
    sku: z.string(),
    name: z.string().optional(),
    quantity: z.int(),
    unit_price: z.int().meta({ description: 'Minor units: 2999 is 29.99 EUR.' }),
  })
  .meta({ id: 'OrderItem' });

const orderFields = {
  order_id: z.string().meta({ format: 'uuid', description: 'A version 7 UUID: it sorts by placed_at.' }),
  order_number: z.string().nullable().meta({ description: 'The name the client gave it, unique per customer.' }),
  customer_id: z.string(),
  placed_at: moment(),
  currency: z.string().meta({ description: 'ISO 4217.' }),
  total: z.int().meta({ description: 'Minor units, the sum over the items.' }),
  items: z.array(orderItem),
  status,
  status_at: moment().meta({ format: 'date-time', description: 'Since when it has this status.' }),
  reason: z.string().nullable().meta({ description: 'Why, where somebody said so.' }),
  version: z.int().meta({ description: 'Rises with every recorded status; the ETag is "v<version>".' }),
  next_statuses: z.array(status).meta({ description: 'Where it can go from here.' }),
};

export const orderExample = {
  order_id: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
  order_number: 'ORD123456',
  customer_id: 'CUST789',
  placed_at: '2026-06-30T12:30:00.000Z',
  currency: 'EUR',
  total: 6997,
  items: [
    { sku: 'SHOE001', quantity: 1, unit_price: 2999 },
    { sku: 'BAG002', quantity: 2, unit_price: 1999 },
  ],
  status: 'pending',
  status_at: '2026-06-30T12:30:00.000Z',
  reason: null,
  version: 1,
  next_statuses: ['complete', 'cancelled'],
};

export const orderSchema = z.object(orderFields).meta({ id: 'Order', examples: [orderExample] });
export type OrderDocument = z.output<typeof orderSchema>;

export const statusAnswerSchema = z
  .object({
    outcome: z.enum(['recorded', 'late', 'unchanged', 'replayed']).meta({
      description:
        'recorded: it decides now; late: kept in the history, something newer decides; unchanged: the order had it already; replayed: this event_key was recorded before.',
    }),
    ...orderFields,
  })
  .meta({ id: 'RecordedStatus' });

export const historySchema = z
  .object({
    order_id: z.string().meta({ format: 'uuid' }),
    items: z.array(
      z.object({
        seq: z.int(),
        status,
        occurred_at: moment(),
        recorded_at: moment(),
        reason: z.string().nullable(),
        actor: z.string(),
        event_key: z.string().nullable(),
      }),
    ),
  })
  .meta({
    id: 'OrderHistory',
    description: 'Every recorded status in the order of arrival. The newest by (occurred_at, seq) decides.',
  });

export const orderPageSchema = z
  .object({
    items: z.array(orderSchema),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Give it as `cursor` for the next page; null on the last page.' }),
    next: z.string().nullable().meta({ description: 'The URL of the next page; null on the last page.' }),
    prev_cursor: z.string().nullable().meta({
      description:
        'Give it as `cursor` for the page in front of this one; null on the first page. It may lead to an empty page where rows have left the list meanwhile.',
    }),
    prev: z
      .string()
      .nullable()
      .meta({ description: 'The URL of the page in front of this one; null on the first page.' }),
  })
  .meta({ id: 'OrderPage' });

export const orderCountSchema = z
  .object({ count: z.int(), precision: z.enum(['exact', 'at_least']) })
  .meta({ id: 'OrderCount', description: 'Counting stops at 10,000 rows: then the precision is `at_least`.' });

/** An order as the API shows it. */
export function toOrderDocument(order: Order): OrderDocument {
  return {
    order_id: order.orderId,
    order_number: order.orderNumber,
    customer_id: order.customerId,
    placed_at: formatInstant(order.placedAt),
    currency: order.currency,
    total: order.total,
    items: itemsOf(order) as OrderDocument['items'],
    status: order.status,
    status_at: formatInstant(order.statusAt),
    reason: order.reason,
    version: order.version,
    next_statuses: nextStatuses[order.status] as unknown as OrderDocument['next_statuses'],
  };
}

const nextStatusesJson = Object.fromEntries(
  orderStatuses.map((name) => [name, JSON.stringify(nextStatuses[name])]),
) as Readonly<Record<OrderStatus, string>>;

/**
 * The JSON text of the same document, with the items passed on as they are stored: lists are most of what is read, and parsing
 * and writing the items again costs more than all the rest of a row. A test compares it with `toOrderDocument`.
 */
export const orderJson = (order: Order): string =>
  `{"order_id":"${order.orderId}","order_number":${JSON.stringify(order.orderNumber)},"customer_id":${JSON.stringify(order.customerId)},` +
  `"placed_at":"${formatInstant(order.placedAt)}","currency":"${order.currency}","total":${order.total},"items":${order.itemsJson},` +
  `"status":"${order.status}","status_at":"${formatInstant(order.statusAt)}","reason":${JSON.stringify(order.reason)},` +
  `"version":${order.version},"next_statuses":${nextStatusesJson[order.status]}}`;

/** The JSON text of a page. */
export const orderPageJson = (page: {
  items: readonly Order[];
  nextCursor: string | null;
  next: string | null;
  prevCursor: string | null;
  prev: string | null;
}): string =>
  `{"items":[${page.items.map(orderJson).join(',')}],"next_cursor":${JSON.stringify(page.nextCursor)},"next":${JSON.stringify(page.next)},` +
  `"prev_cursor":${JSON.stringify(page.prevCursor)},"prev":${JSON.stringify(page.prev)}}`;

export const jsonMediaType = 'application/json; charset=utf-8';

export const toHistoryRow = (row: StatusRow) => ({
  seq: row.seq,
  status: row.status,
  occurred_at: formatInstant(row.occurredAt),
  recorded_at: formatInstant(row.recordedAt),
  reason: row.reason,
  actor: row.actor,
  event_key: row.eventKey,
});
