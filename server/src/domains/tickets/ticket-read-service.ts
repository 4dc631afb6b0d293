import { DomainError } from '../../core/errors.ts';
import type { TicketId } from '../../core/ids.ts';
import type { Database } from '../../storage/database.ts';
import type { Ticket, TicketErrorCode } from './ticket.ts';
import { someActiveTicket, type TicketSelection, ticketById, ticketsPage } from './tickets-queries.ts';

export interface TicketPageRequest {
  /** At least one of the two. */
  readonly filter: TicketSelection;
  readonly direction: 'newest' | 'oldest';
  readonly limit: number;
  /** The last id of the page before. */
  readonly after: TicketId | null;
}

export interface TicketPage {
  readonly items: readonly Ticket[];
  /** Where the next page begins, null behind the last row. */
  readonly next: TicketId | null;
}

export interface TicketReads {
  /** @throws DomainError `ticket_not_found` */
  getTicket(id: TicketId): Promise<Ticket>;
  /** By event, by holder or by both, in the order of creation. @throws RangeError without either */
  listTickets(request: TicketPageRequest): Promise<TicketPage>;
  /** Some ticket that is not void, to look at; null where there is none. */
  findSomeTicket(): Promise<TicketId | null>;
}

export const createTicketReads = (db: Database): TicketReads => ({
  async getTicket(id) {
    const [ticket] = await db.read(ticketById(id));
    if (ticket === undefined) throw ticketNotFound(id);
    return ticket;
  },
  async listTickets({ filter, direction, limit, after }) {
    if (filter.event === null && filter.holder === null) throw new RangeError('Tickets are listed by event or holder.');
    // One row more than the page holds tells whether there is a next one.
    const rows = await db.read(ticketsPage(filter, { direction, after }, limit + 1));
    const items = rows.slice(0, limit);
    return { items, next: rows.length > limit ? (items[items.length - 1]?.ticketId ?? null) : null };
  },
  findSomeTicket: async () => (await db.read(someActiveTicket()))[0]?.ticketId ?? null,
});

export const ticketNotFound = (id: TicketId): DomainError<TicketErrorCode> =>
  new DomainError<TicketErrorCode>('ticket_not_found', `There is no ticket ${id}.`, { ticket_id: id });
