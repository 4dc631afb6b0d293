import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { writeHalving } from '../../storage/halving.ts';
import type { TransactionOptions } from '../../storage/transaction.ts';
import type { NewTicket } from './ticket.ts';
import { type TicketOutcome, type WriteMethod, writeBatch } from './ticket-batch-service.ts';
import { type PlacedTicket, placeTicket } from './ticket-placement.ts';

/** One ticket to be written, with what the request says beside the document. */
export interface TicketToWrite {
  readonly ticket: NewTicket;
  /** The Idempotency-Key; counts only where the ticket has no number. */
  readonly requestKey: string | null;
}

export interface TicketWriteOptions extends Pick<TransactionOptions, 'near'> {
  readonly by: WriteMethod;
  /**
   * What happens to tickets that the database refuses: they are found by halving and refused alone, each half a transaction
   * (the default), or the write throws and nothing is stored: for callers who halve themselves.
   */
  readonly badRows?: 'isolate' | 'throw';
}

export interface TicketWriter {
  /** Writes all tickets in one transaction (see `badRows` for the exception); outcomes in the order of the input. */
  write(tickets: readonly TicketToWrite[], options: TicketWriteOptions): Promise<TicketOutcome[]>;
}

const refused: TicketOutcome = { kind: 'refused', code: 'ticket_refused', ticketId: null };

export const createTicketWriter = ({ db, clock }: { readonly db: Database; readonly clock: Clock }): TicketWriter => ({
  async write(tickets, { by, badRows = 'isolate', near }) {
    if (tickets.length === 0) return [];
    const now = clock.now();
    const placed = tickets.map(({ ticket, requestKey }) => placeTicket(ticket, requestKey, { now }));
    const write = (part: readonly PlacedTicket[]) => writeBatch(db, part, { by, near });
    return badRows === 'throw' ? write(placed) : writeHalving(placed, write, () => refused);
  },
});
