import { z } from 'zod';
import type { Instant } from '../core/time.ts';
import type { OrderFilter } from '../domains/orders/order-read-service.ts';
import { type OrderStatus, orderStatuses } from '../domains/orders/order-status.ts';
import type { Direction } from '../domains/orders/order-walk.ts';
import { choice, moment, parameter, requiredMoment, text, wholeNumber } from './query-parameters.ts';

const isStatus = (value: string): value is OrderStatus => (orderStatuses as readonly string[]).includes(value);

const statuses = parameter(
  (value, refuse): readonly OrderStatus[] => {
    const words = value.split(',');
    return words.every(isStatus)
      ? [...new Set(words)]
      : refuse(`must be one or several of ${orderStatuses.join(', ')}, with commas between`);
  },
  {
    type: 'string',
    description: 'One or several of pending, complete and cancelled, with commas between.',
    'x-examples': ['cancelled,pending'],
  },
);

const filterOfAll = {
  customer_id: text(200, 'Orders of this customer.'),
  order_number: text(100, 'The order with this number; needs customer_id.'),
  placed_from: moment('Placed at or after this instant.'),
  placed_to: moment('Placed before this instant.'),
};
const filter = { status: statuses, ...filterOfAll };
/** What a histogram selects by. */
export const filterOfHistogram = {
  placed_from: requiredMoment('Placed at or after this instant.'),
  placed_to: requiredMoment('Placed before this instant.'),
  status: statuses,
  customer_id: filterOfAll.customer_id,
};
const order = { order: choice(['newest', 'oldest'], 'The newest or the oldest first.') };
const paging = {
  limit: wholeNumber([1, 500], 'Orders a page; 50 unless given.'),
  cursor: text(200, 'The next_cursor of the page before, or the prev_cursor of the page behind.'),
  page: wholeNumber(
    [1, 10_000],
    'Page N, up to row 10,000; not together with cursor. Cursors reach further and skip nothing.',
  ),
};

interface FilterParameters {
  readonly status?: readonly OrderStatus[] | undefined;
  readonly customer_id?: string | undefined;
  readonly order_number?: string | undefined;
  readonly placed_from?: Instant | undefined;
  readonly placed_to?: Instant | undefined;
}

interface ListParameters extends FilterParameters {
  readonly order?: Direction | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
  readonly page?: number | undefined;
}

const defaultLimit = 50;

/** What a list is asked for. */
export interface ListQuery {
  readonly filter: OrderFilter;
  readonly direction: Direction;
  readonly limit: number;
  readonly cursor: string | null;
  readonly page: number | null;
}

function toFilter(query: FilterParameters): OrderFilter {
  return {
    statuses: query.status ?? [],
    customerId: query.customer_id ?? null,
    orderNumber: query.order_number ?? null,
    placedFrom: query.placed_from ?? null,
    placedTo: query.placed_to ?? null,
  };
}

const toListQuery = (query: ListParameters): ListQuery => ({
  filter: toFilter(query),
  direction: query.order ?? 'newest',
  limit: query.limit ?? defaultLimit,
  cursor: query.cursor ?? null,
  page: query.page ?? null,
});

function checkTogether(query: ListParameters, context: z.RefinementCtx): void {
  const refuse = (name: string, message: string) => context.addIssue({ code: 'custom', path: [name], message });
  if (query.order_number !== undefined && query.customer_id === undefined) {
    refuse('order_number', 'needs customer_id beside it: numbers are unique per customer');
  }
  if (query.placed_from !== undefined && query.placed_to !== undefined && query.placed_to <= query.placed_from) {
    refuse('placed_to', 'must be later than placed_from');
  }
  if (query.page !== undefined && query.cursor !== undefined)
    refuse('page', 'cannot stand beside cursor: give one of them');
}

/** GET /orders */
export const listQuery = z
  .strictObject({ ...filter, ...order, ...paging })
  .superRefine(checkTogether)
  .transform(toListQuery);

/** GET /orders/cancelled */
export const cancelledQuery = z
  .strictObject({ ...filterOfAll, ...order, ...paging })
  .superRefine(checkTogether)
  .transform((query) => toListQuery({ ...query, status: ['cancelled'] }));

/** GET /orders/count */
export const countQuery = z.strictObject(filter).superRefine(checkTogether).transform(toFilter);

/** GET /orders/export */
export const exportQuery = z
  .strictObject({ ...filter, ...order })
  .superRefine(checkTogether)
  .transform(toListQuery);

/** The query as a URL carries it: the way back, for `next`. Always in the same order, defaults left out. */
export function toSearch(
  { filter: selected, direction, limit }: ListQuery,
  place: Readonly<Record<string, string>>,
  fixed: readonly OrderStatus[],
): string {
  const search = new URLSearchParams();
  const put = (name: string, value: string | null): void => {
    if (value !== null) search.set(name, value);
  };
  const instantText = (at: Instant | null): string | null => (at === null ? null : new Date(at).toISOString());
  if (fixed.length === 0 && selected.statuses.length > 0) put('status', selected.statuses.join(','));
  put('customer_id', selected.customerId);
  put('order_number', selected.orderNumber);
  put('placed_from', instantText(selected.placedFrom));
  put('placed_to', instantText(selected.placedTo));
  if (direction !== 'newest') put('order', direction);
  if (limit !== defaultLimit) put('limit', String(limit));
  for (const [name, value] of Object.entries(place)) put(name, value);
  return search.toString().replaceAll('%3A', ':').replaceAll('%2C', ',');
}
