import type { FastifyReply } from 'fastify';
import type { OrderPage } from '../../domains/orders/order-read-service.ts';
import type { OrderStatus } from '../../domains/orders/order-status.ts';
import type { Cached } from '../../storage/cache/read-cache.ts';
import { httpError } from '../failure.ts';
import { markFreshness } from '../freshness.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { cancelledQuery, countQuery, type ListQuery, listQuery, toSearch } from '../order-query.ts';
import { jsonMediaType, orderCountSchema, orderPageJson, orderPageSchema } from '../order-representation.ts';
import { decodeCursor, encodeCursor } from '../page-cursor.ts';
import { answerSchema } from '../validation.ts';

const torn = mayBeTorn('several customers, or a salted one,');
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
  const page = answerSchema(
    orderPageSchema,
    'A page, and where the next and the previous one are (also in the header Link).',
  );
  const config = { scope: 'orders:read' as const, problems: listProblems };
  const description = `A cursor walk skips and repeats nothing that was committed before it began, forwards by \`next\` and backwards by \`prev\`. The order is that of placed_at. ${torn}`;

  const list = async (reply: unknown, query: ListQuery, listed: Listed) => {
    const found = await pageOf(deps, query);
    const { next, prev, json } = pageText(found.value, query, listed);
    // Beside the typed answers: text that is JSON already.
    const plain = reply as FastifyReply;
    markFreshness(plain, found);
    return plain.type(jsonMediaType).headers(linkHeader({ next, prev })).send(json);
  };

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
      return list(reply, request.query, { path: '/api/v1/orders', fixed: [] });
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
      return list(reply, request.query, { path: '/api/v1/orders/cancelled/', fixed: ['cancelled'] });
    },
  );
  routes.get(
    '/orders/count',
    {
      schema: {
        summary: 'Count orders',
        description: `Exact up to 10,000; beyond it \`at_least\`. ${torn}`,
        tags: ['orders'],
        querystring: countQuery,
        response: { 200: answerSchema(orderCountSchema, 'How many there are.') },
      },
      config: { scope: 'orders:read' },
    },
    (request) => orders.countOrders(request.query),
  );
}

async function pageOf({ app: { orders } }: HttpDeps, query: ListQuery): Promise<Cached<OrderPage>> {
  const { page, limit } = query;
  if (page === null || page === 1) {
    return orders.lookUpPage({
      ...query,
      after: null,
      ...(query.cursor === null ? {} : decodeCursor(query.cursor, query)),
    });
  }
  const offset = (page - 1) * limit;
  if (offset >= deepestRow) {
    throw httpError(
      'page_too_deep',
      `Page ${page} begins behind row ${deepestRow}. Follow \`next\` from an earlier page: it becomes a cursor there.`,
    );
  }
  return { value: await orders.listOrdersFrom(query, offset), ageMs: 0, stale: false };
}

interface PageText {
  readonly next: string | null;
  readonly prev: string | null;
  readonly json: string;
}

/** A page of the cache is written once for all who ask for it by the same path. */
function pageText(found: OrderPage, query: ListQuery, listed: Listed): PageText {
  let texts = pageTexts.get(found);
  if (texts === undefined) {
    texts = new Map();
    pageTexts.set(found, texts);
  }
  const variant = urlOf(query, query.page === null ? {} : { page: String(query.page) }, listed);
  let text = texts.get(variant);
  if (text === undefined) {
    const nextCursor = found.next === null ? null : encodeCursor({ after: found.next }, query);
    const prevCursor = found.prev === null ? null : encodeCursor({ before: found.prev }, query);
    const next = nextUrl(query, nextCursor, listed);
    const prev = prevUrl(query, prevCursor, listed);
    text = { next, prev, json: orderPageJson({ items: found.items, nextCursor, next, prevCursor, prev }) };
    texts.set(variant, text);
  }
  return text;
}

const pageTexts = new WeakMap<OrderPage, Map<string, PageText>>();

/** Pages lead to pages up to row 10,000 and to a cursor there; cursors lead to cursors. */
function nextUrl(query: ListQuery, cursor: string | null, listed: Listed): string | null {
  if (cursor === null) return null;
  const { page, limit } = query;
  return urlOf(query, page !== null && page * limit < deepestRow ? { page: String(page + 1) } : { cursor }, listed);
}

function prevUrl(query: ListQuery, cursor: string | null, listed: Listed): string | null {
  if (query.page !== null) return query.page === 1 ? null : urlOf(query, { page: String(query.page - 1) }, listed);
  return cursor === null ? null : urlOf(query, { cursor }, listed);
}

const urlOf = (query: ListQuery, place: Readonly<Record<string, string>>, { path, fixed }: Listed): string =>
  `${path}?${toSearch(query, place, fixed)}`;

function linkHeader(links: Readonly<Record<'next' | 'prev', string | null>>): { link?: string } {
  const known = Object.entries(links).flatMap(([rel, url]) => (url === null ? [] : [`<${url}>; rel="${rel}"`]));
  return known.length === 0 ? {} : { link: known.join(', ') };
}
