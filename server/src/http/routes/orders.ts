import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type OrderId, parseOrderId } from '../../core/ids.ts';
import type { Order } from '../../domains/orders/order.ts';
import { orderNotFound } from '../../domains/orders/order-read-service.ts';
import { statusSubmission } from '../../domains/orders/order-status-submission.ts';
import { orderSubmission } from '../../domains/orders/order-submission.ts';
import { etagOf, expectedVersion, isKnownVersion } from '../etag.ts';
import { markFreshness } from '../freshness.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import {
  historySchema,
  jsonMediaType,
  orderExample,
  orderJson,
  orderSchema,
  statusAnswerSchema,
  toHistoryRow,
  toOrderDocument,
} from '../order-representation.ts';
import { idempotencyHeader, idempotencyKeyOf } from '../request-input.ts';
import { answerSchema } from '../validation.ts';
import { writeOnce } from '../write-once.ts';

const orderIdParams = z.strictObject({
  id: z
    .string()
    .transform((text, context): OrderId => {
      const id = parseOrderId(text);
      if (id !== null) return id;
      context.addIssue({
        code: 'custom',
        message: 'is not an order id. An order number is looked up with ?customer_id=…&order_number=…',
      });
      return z.NEVER;
    })
    .meta({ format: 'uuid', 'x-examples': [orderExample.order_id] }),
});
const noQuery = z.strictObject({});

const submissionExample = {
  customer_id: 'CUST789',
  order_number: 'ORD123456',
  items: [
    { sku: 'SHOE001', quantity: 1, unit_price: 2999 },
    { sku: 'BAG002', quantity: 2, unit_price: 1999 },
  ],
};
const submissionBody = orderSubmission.meta({ id: 'NewOrder', 'x-examples': [submissionExample] });
const statusBody = statusSubmission.meta({
  id: 'NewStatus',
  'x-examples': [{ status: 'cancelled', reason: 'customer_return' }],
});

/** Creating and reading single orders and their histories. */
export function addOrderRoutes(routes: Routes, deps: HttpDeps): void {
  addCreate(routes, deps);
  addReads(routes, deps);
  addStatus(routes, deps);
}

function addCreate(routes: Routes, { app: { orders } }: HttpDeps): void {
  routes.post(
    '/orders',
    {
      schema: {
        summary: 'Create an order',
        description:
          'Idempotent by `order_number` (unique per customer), else by the header Idempotency-Key: a replay answers 201 again, with `Idempotent-Replayed: true`. With neither, a retry may create a second order.',
        tags: ['orders'],
        querystring: noQuery,
        headers: idempotencyHeader,
        body: submissionBody,
        response: { 201: answerSchema(orderSchema, 'The order, created now or before.') },
      },
      config: {
        scope: 'orders:write',
        problems: [
          'order_key_reused',
          'placed_at_out_of_range',
          'amount_too_large',
          'body_too_large',
          'unsupported_media_type',
        ],
      },
    },
    async (request, reply) => {
      const requestKey = idempotencyKeyOf(request.headers);
      const { order, replayed } = await orders.createOrder({
        order: request.body,
        requestKey,
        actor: request.caller.actor,
      });
      void reply.code(201).headers({ location: `/api/v1/orders/${order.orderId}`, etag: etagOf(order.version) });
      if (replayed) void reply.header('idempotent-replayed', 'true');
      return toOrderDocument(order);
    },
  );
}

const orderText = writeOnce<Order>(orderJson);

// Beside the typed answers: text that is JSON already.
const sendJson = (reply: unknown, json: string) => (reply as FastifyReply).type(jsonMediaType).send(json);

// Beside the typed answers: a 304 has no body.
const notModified = (reply: unknown) => (reply as FastifyReply).code(304).send();

function addReads(routes: Routes, { app: { orders } }: HttpDeps): void {
  const shared = { tags: ['orders'], querystring: noQuery, params: orderIdParams };
  const config = { scope: 'orders:read' as const, problems: ['order_not_found' as const] };
  routes.get(
    '/orders/:id',
    {
      schema: {
        ...shared,
        summary: 'Read an order',
        description: 'By its id, from one partition. Send the ETag as If-None-Match to get 304 while nothing changed.',
        response: { 200: answerSchema(orderSchema, 'The order.') },
      },
      config,
    },
    async (request, reply) => {
      const found = await orders.lookUpOrder(request.params.id);
      const order = found.value;
      if (order === null) throw orderNotFound(request.params.id);
      markFreshness(reply, found);
      void reply.headers({ etag: etagOf(order.version), 'cache-control': 'private, no-cache' });
      if (isKnownVersion(request.headers['if-none-match'], order.version)) return notModified(reply);
      return sendJson(reply, orderText(order, ''));
    },
  );
  routes.get(
    '/orders/:id/history',
    {
      schema: {
        ...shared,
        summary: "Read an order's history",
        response: { 200: answerSchema(historySchema, 'Every recorded status.') },
      },
      config,
    },
    async (request, reply) => {
      const rows = await orders.getHistory(request.params.id);
      const version = rows.reduce((highest, { seq }) => Math.max(highest, seq), 0);
      void reply.headers({ etag: etagOf(version), 'cache-control': 'private, no-cache' });
      if (isKnownVersion(request.headers['if-none-match'], version)) return notModified(reply);
      return { order_id: request.params.id, items: rows.map(toHistoryRow) };
    },
  );
}

function addStatus(routes: Routes, { app: { orders } }: HttpDeps): void {
  routes.post(
    '/orders/:id/status',
    {
      schema: {
        summary: 'Report a status',
        description:
          'pending → complete or cancelled; complete → cancelled with a reason. What happened before the current status is recorded as `late` and changes nothing else. If-Match with the ETag of the order makes it conditional.',
        tags: ['orders'],
        querystring: noQuery,
        params: orderIdParams,
        headers: idempotencyHeader.extend({
          'if-match': z.string().optional().meta({ description: 'The ETag of the order as it was read, e.g. "v1".' }),
        }),
        body: statusBody,
        response: {
          200: answerSchema(statusAnswerSchema, 'The order had this status already.'),
          201: answerSchema(statusAnswerSchema, 'Recorded, now or before.'),
        },
      },
      config: {
        scope: 'orders:write',
        problems: [
          'order_not_found',
          'status_conflict',
          'version_mismatch',
          'reason_required',
          'occurred_at_in_future',
          'event_key_reused',
          'unsupported_media_type',
          'body_too_large',
        ],
      },
    },
    async (request, reply) => {
      const { outcome, order } = await orders.recordStatus({
        ...request.body,
        eventKey: request.body.eventKey ?? idempotencyKeyOf(request.headers),
        expectedVersion: expectedVersion(request.headers['if-match']),
        orderId: request.params.id,
        actor: request.caller.actor,
      });
      void reply.code(outcome === 'unchanged' ? 200 : 201).header('etag', etagOf(order.version));
      if (outcome === 'replayed') void reply.header('idempotent-replayed', 'true');
      return { outcome, ...toOrderDocument(order) };
    },
  );
}
