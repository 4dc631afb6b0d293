import { hash } from 'node:crypto';
import type { Bucket } from '../../core/bucket.ts';
import type { OrderId } from '../../core/ids.ts';
import { type Currency, maxMinorUnits } from '../../core/money.ts';
import type { Instant } from '../../core/time.ts';
import type { ImportedStatus, OrderStatus } from './order-status.ts';

/** One article of an order, in the form that the wire and the column `items` share. `unit_price` is in minor units. */
export interface OrderItem {
  readonly sku: string;
  readonly name?: string;
  readonly quantity: number;
  readonly unit_price: number;
}

/** An order as somebody submits it: null is what they left out. */
export interface NewOrder {
  readonly customerId: string;
  readonly orderNumber: string | null;
  readonly placedAt: Instant | null;
  readonly currency: Currency | null;
  readonly items: readonly OrderItem[];
  /** The total in minor units, at most 2^53 - 1. */
  readonly total: number;
  /** A history that comes with the order; null for an order that begins now. */
  readonly statuses: readonly ImportedStatus[] | null;
}

/** An order as it is stored. */
export interface Order {
  readonly orderId: OrderId;
  readonly customerId: string;
  readonly orderNumber: string | null;
  readonly placedAt: Instant;
  readonly currency: Currency;
  /** In minor units. */
  readonly total: number;
  /** The items as JSON text, as they are stored: most readers pass them on, and parsing them is half the price of a page. */
  readonly itemsJson: string;
  readonly status: OrderStatus;
  readonly statusAt: Instant;
  /** Why the status that decides was set, where somebody said so. */
  readonly reason: string | null;
  /** The seq of the last row of the history: rises with every recorded status. */
  readonly version: number;
}

/** The sum over the items in minor units, or null when it passes 2^53 - 1 and JSON could not carry it. */
export function totalOf(items: readonly OrderItem[]): number | null {
  let total = 0n;
  for (const { quantity, unit_price } of items) {
    const product = quantity * unit_price;
    total += Number.isSafeInteger(product) ? BigInt(product) : BigInt(quantity) * BigInt(unit_price);
  }
  return total > BigInt(maxMinorUnits) ? null : Number(total);
}

export const itemsOf = (order: Pick<Order, 'itemsJson'>): OrderItem[] => JSON.parse(order.itemsJson) as OrderItem[];

export type OrderKeyKind = 'number' | 'request';

/** The name a client knows an order by: its order number, else the Idempotency-Key of the request. */
export interface OrderKey {
  readonly kind: OrderKeyKind;
  readonly key: string;
}

/** A key and the bucket in which it stands. */
export interface PlacedKey extends OrderKey {
  readonly customerId: string;
  readonly bucket: Bucket;
}

export function keyOf(order: NewOrder, requestKey: string | null): OrderKey | null {
  if (order.orderNumber !== null) return { kind: 'number', key: order.orderNumber };
  return requestKey === null ? null : { kind: 'request', key: requestKey };
}

/**
 * A fingerprint of what was submitted, before defaults and without the history: the same document sent again has the same
 * one, whichever names its fields had. 16 bytes of SHA-256 in hexadecimal: thousands of small buffers would cost far more memory.
 */
export function contentHashOf(order: NewOrder): string {
  const canonical = JSON.stringify([
    order.customerId,
    order.orderNumber,
    order.placedAt,
    order.currency,
    order.items.map((item) => [item.sku, item.name ?? null, item.quantity, item.unit_price]),
  ]);
  return hash('sha256', canonical, 'hex').slice(0, 32);
}
