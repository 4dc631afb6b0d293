import type { Currency } from '../../core/money.ts';
import { createRandom, type Random } from '../../core/pseudo-random.ts';
import { dayMs, type Instant, minuteMs } from '../../core/time.ts';
import type { NewOrder, OrderItem } from './order.ts';
import type { ImportedStatus } from './order-status.ts';
import { zipfSampler } from './zipf.ts';

export interface GenerateOptions {
  readonly count: number;
  /** How many customers share the orders. */
  readonly customers: number;
  /** Exponent of Zipf's law: the k-th customer has orders in proportion to 1 / k^zipf; 0 = all alike. */
  readonly zipf: number;
  /** Orders are placed in [from, to), evenly, in the order in which they are made. */
  readonly from: Instant;
  readonly to: Instant;
  /** Share of orders that end cancelled, 0..1. */
  readonly cancelledShare: number;
  /** The same options and seed give the same orders: 0 .. 2^32 - 1. */
  readonly seed: number;
  readonly currency: Currency;
}

const maxItemsPerOrder = 5;
// Orders of the last two days may still wait for their payment.
const pendingForMs = 2 * dayMs;
const pendingShare = 0.5;

/**
 * Makes made-up orders with their histories: number n, counted from 1, follows from the options alone and costs the same
 * wherever it stands. Pure; a few microseconds each.
 */
export function createOrderMaker(options: GenerateOptions): (n: number) => NewOrder {
  const { count, from, to, seed } = options;
  const customer = zipfSampler(options.customers, options.zipf);
  const spanMs = to - from;
  return (n) => {
    const random = createRandom(seed, n);
    const placedAt = Math.floor(from + ((n - 1 + random()) / count) * spanMs) as Instant;
    const items = someItems(random);
    return {
      customerId: `CUST${String(customer(random) + 1).padStart(6, '0')}`,
      orderNumber: `GEN${seed}-${n}`,
      placedAt,
      currency: options.currency,
      items,
      total: items.reduce((sum, { quantity, unit_price }) => sum + quantity * unit_price, 0),
      statuses: someHistory(placedAt, options, random),
    };
  };
}

/** All of them, one by one. */
export function* generateOrders(options: GenerateOptions): Generator<NewOrder> {
  const make = createOrderMaker(options);
  for (let n = 1; n <= options.count; n++) yield make(n);
}

const words = {
  colour: ['White', 'Red', 'Blue', 'Green', 'Black', 'Ivory', 'Grey', 'Rose'],
  material: ['Cotton', 'Wooden', 'Metal', 'Ceramic', 'Glass', 'Linen', 'Leather', 'Wool'],
  thing: ['Lantern', 'Mug', 'Bag', 'Frame', 'Clock', 'Candle', 'Cushion', 'Bowl'],
} as const;

interface Article {
  readonly sku: string;
  readonly name: string;
  readonly unit_price: number;
}

/** 512 articles; the price follows from the name. */
const articles: readonly Article[] = words.thing.flatMap((thing, t) =>
  words.material.flatMap((material, m) =>
    words.colour.map((colour, c): Article => {
      const number = t * 64 + m * 8 + c;
      const sku = `${thing.slice(0, 3).toUpperCase()}${String(number).padStart(4, '0')}`;
      return { sku, name: `${colour} ${material} ${thing}`, unit_price: 95 + ((number * 7919) % 9_400) };
    }),
  ),
);

function someItems(random: Random): OrderItem[] {
  const items: OrderItem[] = [];
  for (let left = 1 + Math.floor(random() * maxItemsPerOrder); left > 0; left--) {
    const { sku, name, unit_price } = articles[Math.floor(random() * articles.length)] as Article;
    items.push({ sku, name, quantity: 1 + Math.floor(random() * 4), unit_price });
  }
  return items;
}

const refundReasons = ['customer_return', 'damaged', 'not_as_described'] as const;

/** Pending since it was placed is written for every order; this is what came after. Nothing happens at or after `to`. */
function someHistory(
  placedAt: Instant,
  { to, cancelledShare }: GenerateOptions,
  random: Random,
): ImportedStatus[] | null {
  const latest = to - 1;
  const after = (at: number, maxMs: number) =>
    Math.min(latest, Math.floor(at + minuteMs + random() * maxMs)) as Instant;
  if (random() < cancelledShare) {
    if (random() < 0.4) return [statusAt(after(placedAt, 60 * minuteMs), 'cancelled', 'payment_failed')];
    const paidAt = after(placedAt, 60 * minuteMs);
    const reason = refundReasons[Math.floor(random() * refundReasons.length)] ?? refundReasons[0];
    return [statusAt(paidAt, 'complete', null), statusAt(after(paidAt, 10 * dayMs), 'cancelled', reason)];
  }
  if (placedAt >= to - pendingForMs && random() < pendingShare) return null;
  return [statusAt(after(placedAt, 60 * minuteMs), 'complete', null)];
}

const statusAt = (occurredAt: Instant, status: ImportedStatus['status'], reason: string | null): ImportedStatus => ({
  status,
  occurredAt,
  reason,
  eventKey: null,
});
