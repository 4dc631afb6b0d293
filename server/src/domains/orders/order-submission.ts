import { z } from 'zod';
import { currency, instant, storableText } from '../../core/validation.ts';
import { type NewOrder, type OrderItem, totalOf } from './order.ts';
import type { ImportedStatus } from './order-status.ts';

export const maxItems = 1_000;
export const maxStatuses = 100;

const minorUnits = z.number().int().min(0);

const itemShape = z
  .strictObject({
    sku: storableText(100),
    name: storableText(500).optional(),
    quantity: z.number().int().min(1),
    unit_price: minorUnits.optional().meta({ description: 'Minor units: 2999 is 29.99 EUR.' }),
    price: minorUnits.optional().meta({ description: 'Another name for unit_price.' }),
  })
  .transform((item, context): OrderItem => {
    const unitPrice = oneOf(context, item, ['unit_price', 'price']);
    if (unitPrice === undefined)
      context.addIssue({ code: 'custom', path: ['unit_price'], message: 'is required', params: { code: 'required' } });
    const { sku, name, quantity } = item;
    return name === undefined
      ? { sku, quantity, unit_price: unitPrice ?? 0 }
      : { sku, name, quantity, unit_price: unitPrice ?? 0 };
  });

const statusShape = z
  .strictObject({
    status: z
      .enum(['pending', 'complete', 'cancelled', 'failed'])
      .meta({ description: '`failed` is cancelled with reason payment_failed.' }),
    occurred_at: instant,
    reason: storableText(500).optional(),
    event_key: storableText(200).optional(),
  })
  .transform(
    (row): ImportedStatus => ({
      status: row.status === 'failed' ? 'cancelled' : row.status,
      occurredAt: row.occurred_at,
      reason: row.reason ?? (row.status === 'failed' ? 'payment_failed' : null),
      eventKey: row.event_key ?? null,
    }),
  );

const orderShape = z.strictObject({
  customer_id: storableText(200),
  order_number: storableText(100)
    .optional()
    .meta({ description: 'Unique per customer: the same order sent again is recognised by it.' }),
  order_id: storableText(100).optional().meta({ description: 'Another name for order_number.' }),
  placed_at: instant.optional().meta({ description: 'RFC 3339; now where it is left out.' }),
  timestamp: instant.optional().meta({ description: 'Another name for placed_at.' }),
  currency: currency.optional().meta({ description: 'ISO 4217; MILLIARD_CURRENCY where it is left out.' }),
  items: z.array(itemShape).min(1).max(maxItems),
});

type OrderDocument = z.output<typeof orderShape>;

function toNewOrder(
  document: OrderDocument,
  statuses: readonly ImportedStatus[] | null,
  context: z.RefinementCtx,
): NewOrder {
  const total = totalOf(document.items);
  if (total === null) {
    context.addIssue({
      code: 'custom',
      path: ['items'],
      message: 'add up to more than 2^53 - 1 minor units',
      params: { code: 'too_large' },
    });
  }
  return {
    customerId: document.customer_id,
    orderNumber: oneOf(context, document, ['order_number', 'order_id']) ?? null,
    placedAt: oneOf(context, document, ['placed_at', 'timestamp']) ?? null,
    currency: document.currency ?? null,
    items: document.items,
    total: total ?? 0,
    statuses,
  };
}

/** The value of a field that has two names. Both at once is a fault, even with equal values: one of them is a mistake. */
function oneOf<T extends object, Name extends keyof T & string>(
  context: z.RefinementCtx,
  document: T,
  [name, alias]: readonly [Name, Name],
): T[Name] | undefined {
  if (document[name] !== undefined && document[alias] !== undefined) {
    context.addIssue({
      code: 'custom',
      path: [alias],
      message: `is another name for ${name}: give one of them`,
      params: { code: 'ambiguous' },
    });
  }
  return document[name] ?? document[alias];
}

/** One order as `POST /api/v1/orders` takes it. */
export const orderSubmission = orderShape.transform((document, context) => toNewOrder(document, null, context));

/** One order as bulk and imports take it: it may bring its history. */
export const orderWithHistory = orderShape
  .extend({ statuses: z.array(statusShape).max(maxStatuses).optional() })
  .transform(({ statuses, ...document }, context) => toNewOrder(document, statuses ?? null, context));
