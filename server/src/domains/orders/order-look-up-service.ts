import type { OrderId } from '../../core/ids.ts';
import type { Cached, Caches, ReadCache } from '../../storage/cache/caches.ts';
import type { Order } from './order.ts';
import { ordersCache } from './order-announcement-service.ts';
import type { OrderPage, OrderReads, PageRequest } from './order-read-service.ts';

/** Look-ups of orders through the cache. What they return is one and the same object while nothing changed: it must not be changed. */
export interface OrderLookUps {
  /** The order as it was at most a second ago, and never older than what this server acknowledged. */
  lookUpOrder(id: OrderId): Promise<Cached<Order | null>>;
  /** The first page of the orders of one status, as it was at most a second ago; every other page is read at once. */
  lookUpPage(request: PageRequest): Promise<Cached<OrderPage>>;
  /** To be called after the commit of changes, before anybody is told of them: these orders, and all pages. */
  forgetOrders(ids: readonly OrderId[]): void;
}

export interface OrderLookUpReads {
  readonly findOrder: OrderReads['findOrder'];
  readonly listOrders: OrderReads['listOrders'];
}

export function createOrderLookUps(caches: Caches, { findOrder, listOrders }: OrderLookUpReads): OrderLookUps {
  const orders: ReadCache<Order> = caches.open(ordersCache, { memoryShare: 0.35, life: 'announced' });
  const pages: ReadCache<OrderPage> = caches.open('order_pages', { memoryShare: 0.05, life: 'short' });
  return {
    lookUpOrder: (id) => orders.read(id, () => findOrder(id)),
    async lookUpPage(request) {
      const key = pageKeyOf(request);
      if (key === null) return { value: await listOrders(request), ageMs: 0, stale: false };
      const { value, ...rest } = await pages.read(key, () => listOrders(request));
      if (value === null) throw new RangeError('There is always a page.');
      return { value, ...rest };
    },
    forgetOrders(ids) {
      orders.forget(ids);
      pages.forgetAll();
    },
  };
}

/** Null for pages that are not kept: too many different ones, each too seldom asked for. */
function pageKeyOf({ filter, direction, limit, after, before = null }: PageRequest): string | null {
  const { statuses, customerId, orderNumber, placedFrom, placedTo } = filter;
  const [status] = statuses;
  if (status === undefined || statuses.length > 1 || after !== null || before !== null) return null;
  if (customerId !== null || orderNumber !== null || placedFrom !== null || placedTo !== null) return null;
  return `${status} ${direction} ${limit}`;
}
