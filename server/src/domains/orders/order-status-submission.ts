import { z } from 'zod';
import { type OrderId, parseOrderId } from '../../core/ids.ts';
import { instant, storableText } from '../../core/validation.ts';
import type { StatusEvent } from './order-status.ts';

const statusFields = {
  status: z
    .enum(['pending', 'complete', 'cancelled', 'failed'])
    .meta({ description: '`failed` is cancelled with reason payment_failed.' }),
  reason: storableText(500).optional().meta({ description: 'Required to cancel a complete order (a refund).' }),
  occurred_at: instant.optional().meta({ description: 'RFC 3339; now where it is left out.' }),
  event_key: storableText(200).optional().meta({
    description: 'Names the event, so that it may be sent again: the header Idempotency-Key does the same.',
  }),
};
const statusShape = z.strictObject(statusFields);

/** What is reported; whether it counts is judged against the order. */
export type SubmittedStatus = Omit<StatusEvent, 'expectedVersion'>;

const toEvent = (document: z.output<typeof statusShape>): SubmittedStatus => ({
  status: document.status === 'failed' ? 'cancelled' : document.status,
  reason: document.reason ?? (document.status === 'failed' ? 'payment_failed' : null),
  occurredAt: document.occurred_at ?? null,
  eventKey: document.event_key ?? null,
});

/** A status as `POST /api/v1/orders/{id}/status` takes it. */
export const statusSubmission = statusShape.transform(toEvent);

/** Which order is meant: by its id, or by what its client calls it. */
export type OrderReference =
  | { readonly orderId: OrderId }
  | { readonly customerId: string; readonly orderNumber: string };

/** A status together with its order: a row of a bulk request or of a file. */
export interface ReferencedStatus {
  readonly reference: OrderReference;
  readonly event: SubmittedStatus;
}

const orderId = z.string().transform((text, context): OrderId => {
  const id = parseOrderId(text);
  if (id !== null) return id;
  context.addIssue({
    code: 'custom',
    message: 'is not an order id. Where the order is known by its number, give customer_id and order_number',
  });
  return z.NEVER;
});

const referencedShape = statusShape.extend({
  order_id: orderId.optional().meta({ format: 'uuid', description: 'The order, by its id.' }),
  customer_id: storableText(200).optional().meta({ description: 'With order_number: the order, by its number.' }),
  order_number: storableText(100).optional(),
});

/** A status with its order, as `POST /api/v1/order-statuses/bulk` and files take it. */
export const referencedStatus = referencedShape.transform((document, context): ReferencedStatus => {
  const { order_id, customer_id, order_number } = document;
  const refuse = (field: string, code: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [field], message, params: { code } });
  const event = toEvent(document);
  if (order_id !== undefined) {
    for (const [field, value] of Object.entries({ customer_id, order_number })) {
      if (value !== undefined) refuse(field, 'ambiguous', 'cannot stand beside order_id: give the id or the number');
    }
    return { reference: { orderId: order_id }, event };
  }
  if (customer_id === undefined && order_number === undefined) {
    refuse('order_id', 'required', 'is required, or customer_id and order_number');
  } else if (customer_id === undefined) {
    refuse('customer_id', 'required', 'is required beside order_number: numbers are unique per customer');
  } else if (order_number === undefined) refuse('order_number', 'required', 'is required beside customer_id');
  return { reference: { customerId: customer_id ?? '', orderNumber: order_number ?? '' }, event };
});
