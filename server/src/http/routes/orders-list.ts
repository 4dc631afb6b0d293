import type { FastifyReply } from 'fastify';
import type { OrderPage } from '../../domains/orders/order-read-service.ts';
import type { OrderStatus } from '../../domains/orders/order-status.ts';
import { httpError } from '../failure.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { cancelledQuery, countQuery, type ListQuery, listQuery, toSearch } from '../order-query.ts';
import { jsonMediaType, orderCountSchema, orderPageJson, orderPageSchema } from '../order-representation.ts';
import { decodeCursor, encodeCursor } from '../page-cursor.ts';
import { answerSchema } from '../validation.ts';

const deepestRow = 10_000;
const listProblems = ['cursor_malformed', 'cursor_mismatch', 'page_too_deep'] as const;

interface Listed {
  readonly path: string;
  /** Statuses that the path says, so that the query does not. */
  readonly fixed: readonly OrderStatus[];
}

/** Lists and counts. */
export function addOrderListRoutes(routes: Routes, deps: HttpDeps): void {
  const { orders } = deps.app;
  const page = answerSchema(orderPageSchema, 'A page, and where the next one is (also in the header Link).');
  const config = { scope: 'orders:read' as const, problems: listProblems };
  const description =
    'A cursor walk skips and repeats nothing that was committed before it began. The order is that of placed_at.';

  const list = async (query: ListQuery, listed: Listed) => {
    const found = await pageOf(deps, query);
    const cursor = found.next === null ? null : encodeCursor(found.next, query);
    const next = cursor === null ? null : nextUrl(query, cursor, listed);
    return { next, json: orderPageJson({ items: found.items, nextCursor: cursor, next }) };
  };
  // Beside the typed answers: text that is JSON already.
  const send = (reply: unknown, { next, json }: { next: string | null; json: string }) =>
    (reply as FastifyReply)
      .type(jsonMediaType)
      .headers(next === null ? {} : { link: `<${next}>; rel="next"` })
      .send(json);

  routes.get(
    '/orders',
    {
      schema: {
        summary: 'List orders',
        description,
        tags: ['orders'],
        querystring: listQuery,
        response: { 200: page },
      },
      config,
    },
    async (request, reply) => {
      return send(reply, await list(request.query, { path: '/api/v1/orders', fixed: [] }));
    },
  );
  routes.get(
    '/orders/cancelled',
    {
      schema: {
        summary: 'List cancelled orders',
        description: `The same as /orders?status=cancelled. ${description}`,
        tags: ['orders'],
        querystring: cancelledQuery,
        response: { 200: page },
      },
      config,
    },
    async (request, reply) => {
      return send(reply, await list(request.query, { path: '/api/v1/orders/cancelled/', fixed: ['cancelled'] }));
    },
  );
  routes.get(
    '/orders/count',
    {
      schema: {
        summary: 'Count orders',
        description: 'Exact up to 10,000; beyond it `at_least`.',
        tags: ['orders'],
        querystring: countQuery,
        response: { 200: answerSchema(orderCountSchema, 'How many there are.') },
      },
      config: { scope: 'orders:read' },
    },
    (request) => orders.countOrders(request.query),
  );
}

async function pageOf({ app: { orders } }: HttpDeps, query: ListQuery): Promise<OrderPage> {
  const { page, limit } = query;
  if (page === null) {
    return orders.listOrders({ ...query, after: query.cursor === null ? null : decodeCursor(query.cursor, query) });
  }
  const offset = (page - 1) * limit;
  if (offset >= deepestRow) {
    throw httpError(
      'page_too_deep',
      `Page ${page} begins behind row ${deepestRow}. Follow \`next\` from an earlier page: it becomes a cursor there.`,
    );
  }
  return orders.listOrdersFrom(query, offset);
}

/** Pages lead to pages up to row 10,000 and to a cursor there; cursors lead to cursors. */
function nextUrl(query: ListQuery, cursor: string, { path, fixed }: Listed): string {
  const { page, limit } = query;
  const place = page !== null && page * limit < deepestRow ? { page: String(page + 1) } : { cursor };
  return `${path}?${toSearch(query, place, fixed)}`;
}
