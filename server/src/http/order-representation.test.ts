import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { newOrderId } from '../core/ids.ts';
import type { Currency } from '../core/money.ts';
import type { Instant } from '../core/time.ts';
import type { Order } from '../domains/orders/order.ts';
import { orderStatuses } from '../domains/orders/order-status.ts';
import { orderJson, orderPageJson, toOrderDocument } from './order-representation.ts';

const instant = fc.integer({ min: 0, max: 4_102_444_800_000 }).map((ms) => ms as Instant);
const text = fc.string({ unit: 'binary', maxLength: 20 });
const item = fc.record({ sku: text, name: text, quantity: fc.nat(), unit_price: fc.maxSafeNat() });

const order: fc.Arbitrary<Order> = fc
  .record({
    customerId: text,
    orderNumber: fc.option(text),
    placedAt: instant,
    total: fc.maxSafeNat(),
    items: fc.array(item, { minLength: 1, maxLength: 3 }),
    status: fc.constantFrom(...orderStatuses),
    statusAt: instant,
    reason: fc.option(text),
    version: fc.nat(),
  })
  .map(({ items, ...rest }) => ({
    ...rest,
    orderId: newOrderId(rest.placedAt, 7 as Bucket),
    currency: 'EUR' as Currency,
    itemsJson: JSON.stringify(items),
  }));

test('the text of an order is the JSON of its document', () => {
  fc.assert(
    fc.property(order, (given) => {
      expect(JSON.parse(orderJson(given))).toEqual(toOrderDocument(given));
    }),
  );
});

test('the text of a page is the JSON of its documents and of where it goes on', () => {
  fc.assert(
    fc.property(fc.array(order, { maxLength: 3 }), fc.option(text), fc.option(text), (items, next, prev) => {
      const page = JSON.parse(orderPageJson({ items, nextCursor: next, next, prevCursor: prev, prev }));
      const documents = items.map(toOrderDocument);
      expect(page).toEqual({ items: documents, next_cursor: next, next, prev_cursor: prev, prev });
    }),
  );
});
