import { z } from 'zod';
import { parseTicketId, type TicketId } from '../core/ids.ts';
import { choice, text, wholeNumber } from './query-parameters.ts';
import { ticketExample } from './ticket-representation.ts';

export const ticketIdParams = z.strictObject({
  id: z
    .string()
    .transform((value, context): TicketId => {
      const id = parseTicketId(value);
      if (id !== null) return id;
      context.addIssue({
        code: 'custom',
        message: 'is not a ticket id. A token is no id: it is sent to POST /api/v1/tickets/verify',
      });
      return z.NEVER;
    })
    .meta({ format: 'uuid', 'x-examples': [ticketExample.ticket_id] }),
});

const defaultLimit = 50;

/** What a list of tickets is asked for. */
export interface TicketListQuery {
  readonly filter: { readonly event: string | null; readonly holder: string | null };
  readonly direction: 'newest' | 'oldest';
  readonly limit: number;
  readonly cursor: string | null;
}

/** GET /tickets */
export const ticketListQuery = z
  .strictObject({
    event: text(200, 'Tickets of this event.'),
    holder: text(200, 'Tickets of this holder.'),
    order: choice(['newest', 'oldest'], 'The newest or the oldest first.'),
    limit: wholeNumber([1, 500], `Tickets a page; ${defaultLimit} unless given.`),
    cursor: text(200, 'The next_cursor of the page before.'),
  })
  .superRefine((query, context) => {
    if (query.event === undefined && query.holder === undefined) {
      const issue = { code: 'custom' as const, params: { code: 'required' } };
      context.addIssue({ ...issue, path: ['event'], message: 'is required, or holder in its place' });
    }
  })
  .transform(
    (query): TicketListQuery => ({
      filter: { event: query.event ?? null, holder: query.holder ?? null },
      direction: query.order ?? 'newest',
      limit: query.limit ?? defaultLimit,
      cursor: query.cursor ?? null,
    }),
  );

/** What a cursor of a list of tickets is bound to. */
export const boundTo = ({ filter: { event, holder }, direction }: TicketListQuery): string =>
  JSON.stringify(['tickets', event, holder, direction]);

/** The query as a URL carries it, for `next`: always in the same order, defaults left out. */
export function ticketSearch({ filter: { event, holder }, direction, limit }: TicketListQuery, cursor: string): string {
  const search = new URLSearchParams();
  if (event !== null) search.set('event', event);
  if (holder !== null) search.set('holder', holder);
  if (direction !== 'newest') search.set('order', direction);
  if (limit !== defaultLimit) search.set('limit', String(limit));
  search.set('cursor', cursor);
  return search.toString();
}
