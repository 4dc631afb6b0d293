import { bucketsOfCustomer, homeOfKey } from '../../core/customer-layout.ts';
import { DomainError } from '../../core/errors.ts';
import { lowestIdAt, type OrderId } from '../../core/ids.ts';
import { type Clock, dayMs, type Instant, type Month, monthOf, startOfMonth } from '../../core/time.ts';
import type { CustomerLayouts } from '../../storage/customer-layouts.ts';
import type { Database } from '../../storage/database.ts';
import type { Order } from './order.ts';
import type { OrderErrorCode } from './order-errors.ts';
import { selectOrderKeys } from './order-keys-queries.ts';
import type { OrderStatus, StatusRow } from './order-status.ts';
import { historyOf } from './order-statuses-queries.ts';
import { type Direction, type IdSpan, idSpan, inFrontOf, opposite, spanAfter, windowsOf } from './order-walk.ts';
import { countOrders, type OrderSelection, orderById, orderIdAt, ordersPage } from './orders-queries.ts';

/** What a list, a count and an export select by; null and an empty list select everything. */
export interface OrderFilter {
  readonly statuses: readonly OrderStatus[];
  readonly customerId: string | null;
  /** Only together with `customerId`. */
  readonly orderNumber: string | null;
  readonly placedFrom: Instant | null;
  readonly placedTo: Instant | null;
}

export interface PageRequest {
  readonly filter: OrderFilter;
  readonly direction: Direction;
  readonly limit: number;
  /** The last id of the page before. */
  readonly after: OrderId | null;
  /** Instead of `after`: the first id of the page behind. The page holds the rows directly in front of it, in the list's order. */
  readonly before?: OrderId | null;
}

export interface OrderPage {
  readonly items: readonly Order[];
  /** For `after` of the next page; null behind the last row. Behind a page that was asked for by `before` there always is one. */
  readonly next: OrderId | null;
  /** For `before` of the page in front; null where the list begins. In front of one asked for by `after` there always is one. */
  readonly prev: OrderId | null;
}

export interface BoundedCount {
  readonly count: number;
  readonly precision: 'exact' | 'at_least';
}

export interface OrderReads {
  findOrder(id: OrderId): Promise<Order | null>;
  /** @throws DomainError `order_not_found` */
  getOrder(id: OrderId): Promise<Order>;
  /** @throws DomainError `order_not_found` */
  getHistory(id: OrderId): Promise<StatusRow[]>;
  listOrders(request: PageRequest): Promise<OrderPage>;
  /** The page that begins `offset` rows into the list; `offset` at most 10,000. */
  listOrdersFrom(request: Omit<PageRequest, 'after'>, offset: number): Promise<OrderPage>;
  countOrders(filter: OrderFilter): Promise<BoundedCount>;
  /** Every order the filter selects, page by page at the consumer's pace; holds no connection between pages. */
  streamOrders(filter: OrderFilter, direction: Direction): AsyncGenerator<readonly Order[]>;
}

export const countCap = 10_000;
// Pages share the pipelined connections with single reads, which wait while a page is sent.
const streamPageRows = 500;

export interface OrderReadDeps {
  readonly db: Database;
  readonly layouts: CustomerLayouts;
  readonly clock: Clock;
  /** Months that have partitions, oldest first: a hint for the walk. */
  readonly months: () => readonly Month[];
}

export function createOrderReads(deps: OrderReadDeps): OrderReads {
  const { db } = deps;
  const reads: OrderReads = {
    async findOrder(id) {
      const [order] = await db.read(orderById(id));
      return order ?? null;
    },
    async getOrder(id) {
      const order = await reads.findOrder(id);
      if (order === null) throw orderNotFound(id);
      return order;
    },
    async getHistory(id) {
      const history = await db.read(historyOf(id));
      if (history.length === 0) throw orderNotFound(id);
      return history;
    },
    async listOrders(request) {
      const { filter, direction, after, before = null } = request;
      if (filter.orderNumber !== null) return { items: await findByNumber(deps, request), next: null, prev: null };
      const span = idSpan(filter.placedFrom, filter.placedTo);
      if (before !== null) {
        const backward = { ...request, direction: opposite(direction) };
        const rows = await collect(deps, backward, spanAfter(span, before, backward.direction));
        return pageInFrontOf(before, rows, request);
      }
      const rest = after === null ? span : spanAfter(span, after, direction);
      return pageBehind(after, await collect(deps, request, rest), request);
    },
    async listOrdersFrom(request, offset) {
      if (offset === 0 || request.filter.orderNumber !== null) {
        return offset === 0 ? reads.listOrders({ ...request, after: null }) : nothing;
      }
      const span = idSpan(request.filter.placedFrom, request.filter.placedTo);
      const range = { ...span, direction: request.direction };
      const [last] = await db.query(orderIdAt(selectionOf(deps, request.filter), range, offset - 1));
      return last === undefined ? nothing : reads.listOrders({ ...request, after: last.orderId });
    },
    async countOrders(filter) {
      if (filter.orderNumber !== null) {
        return { count: (await findByNumber(deps, { filter })).length, precision: 'exact' };
      }
      const range = { ...idSpan(filter.placedFrom, filter.placedTo), direction: 'newest' as const };
      const [row] = await db.query(countOrders(selectionOf(deps, filter), range, countCap + 1));
      const count = Number(row?.count ?? 0n);
      return count > countCap ? { count: countCap, precision: 'at_least' } : { count, precision: 'exact' };
    },
    async *streamOrders(filter, direction) {
      for (let after: OrderId | null = null; ; ) {
        const page: OrderPage = await reads.listOrders({ filter, direction, limit: streamPageRows, after });
        if (page.items.length > 0) yield page.items;
        if (page.next === null) return;
        after = page.next;
      }
    },
  };
  return reads;
}

export const orderNotFound = (id: OrderId): DomainError<OrderErrorCode> =>
  new DomainError<OrderErrorCode>('order_not_found', `There is no order ${id}.`, { order_id: id });

const nothing: OrderPage = { items: [], next: null, prev: null };

type PageShape = Pick<PageRequest, 'direction' | 'limit'>;

/** One row more than the page holds tells whether there is a next one. */
function pageBehind(after: OrderId | null, orders: readonly Order[], { direction, limit }: PageShape): OrderPage {
  const items = orders.slice(0, limit);
  const next = orders.length > limit ? (items[items.length - 1]?.orderId ?? null) : null;
  if (after === null) return { items, next, prev: null };
  // What came before may have left the list meanwhile, for another status: asking would cost every page another statement.
  return { items, next, prev: items[0]?.orderId ?? inFrontOf(after, opposite(direction)) };
}

/** @param orders those in front of `before`, the nearest first */
function pageInFrontOf(before: OrderId, orders: readonly Order[], { direction, limit }: PageShape): OrderPage {
  const items = orders.slice(0, limit).reverse();
  const prev = orders.length > limit ? (items[0]?.orderId ?? null) : null;
  return { items, next: items[items.length - 1]?.orderId ?? inFrontOf(before, direction), prev };
}

/** A filter as statements take it: with every bucket in which a customer's rows may stand. */
export function selectionOf(
  { layouts }: Pick<OrderReadDeps, 'layouts'>,
  { statuses, customerId }: Pick<OrderFilter, 'statuses' | 'customerId'>,
): OrderSelection {
  const customer =
    customerId === null
      ? null
      : { id: customerId, buckets: bucketsOfCustomer(customerId, layouts.readableLayoutsOf(customerId)) };
  return { statuses: [...new Set(statuses)], customer };
}

// A customer's orders are thin over the months, so one statement over two years beats many over a month each; lists over all
// customers fill a page from the newest month.
const firstMonthsOfCustomer = 32;

async function collect(deps: OrderReadDeps, request: PageRequest, span: IdSpan): Promise<Order[]> {
  const { direction, limit, filter } = request;
  const selection = selectionOf(deps, filter);
  const { to, months } = newest(deps.clock.now());
  const firstMonths = filter.customerId === null ? months : firstMonthsOfCustomer;
  const placed = { from: span.from, to: to < span.to ? to : span.to };
  const found: Order[] = [];
  for (const window of windowsOf(placed, { months: deps.months(), direction, firstMonths })) {
    const missing = limit + 1 - found.length;
    const statement = ordersPage(selection, { ...window, direction }, missing);
    for (const row of await deps.db.read(statement)) found.push(row);
    if (found.length > limit) break;
  }
  return found;
}

/**
 * Where the newest orders end: an order is refused when it is minutes ahead of the clock of whoever writes it, and no clock is a day
 * ahead. The months that stand ready behind it are left out of the plan (a cluster makes one in every shard for each page: of four months
 * instead of one, 5.3 instead of 3.9 ms a page).
 */
function newest(now: Instant): { to: OrderId; months: number } {
  const month = monthOf((now + dayMs) as Instant);
  return { to: lowestIdAt(startOfMonth((month + 1) as Month)), months: 1 + month - monthOf(now) };
}

/** The order with this number, under whichever layout it was written; at most one row. */
async function findByNumber({ db, layouts }: OrderReadDeps, { filter }: { filter: OrderFilter }): Promise<Order[]> {
  const { customerId, orderNumber } = filter;
  if (customerId === null || orderNumber === null) return [];
  const homes = new Set(
    layouts.readableLayoutsOf(customerId).map((layout) => homeOfKey(customerId, orderNumber, layout)),
  );
  const keys = [...homes].map((bucket) => ({ kind: 'number' as const, key: orderNumber, customerId, bucket }));
  const [found] = await db.read(selectOrderKeys(keys));
  const rows = found === undefined ? [] : await db.read(orderById(found.orderId));
  return rows.filter((order) => matches(order, filter));
}

const matches = (order: Order, { statuses, placedFrom, placedTo }: OrderFilter): boolean =>
  (statuses.length === 0 || statuses.includes(order.status)) &&
  (placedFrom === null || order.placedAt >= placedFrom) &&
  (placedTo === null || order.placedAt < placedTo);
