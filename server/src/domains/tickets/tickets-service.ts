import { bucketOf } from '../../core/bucket.ts';
import { DomainError } from '../../core/errors.ts';
import type { TicketId } from '../../core/ids.ts';
import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import { createWriteQueue, type WriteQueueDeps } from '../../storage/group-commit.ts';
import type { Ticket, TicketErrorCode } from './ticket.ts';
import type { TicketOutcome } from './ticket-batch-service.ts';
import { createTicketReads, type TicketReads } from './ticket-read-service.ts';
import { createTicketTokens, type TicketTokens } from './ticket-token-service.ts';
import { createTicketWriter, type TicketToWrite, type TicketWriter } from './ticket-write-service.ts';
import { voidTicket } from './tickets-queries.ts';

export interface TicketsDeps extends WriteQueueDeps {
  readonly db: Database;
  readonly clock: Clock;
}

/** What became of one ticket that was sent. */
export interface CreatedTicket {
  readonly ticket: Ticket;
  readonly replayed: boolean;
}

export interface TicketToVoid {
  readonly ticketId: TicketId;
  readonly reason: string | null;
  readonly actor: string;
}

export interface Tickets extends TicketReads, TicketTokens {
  /** Through group commit. @throws DomainError `ticket_key_reused`, `ticket_refused` */
  createTicket(ticket: TicketToWrite): Promise<CreatedTicket>;
  /** Once and for all; a ticket that is void already stays as it is. @throws DomainError `ticket_not_found` */
  voidTicket(ticket: TicketToVoid): Promise<Ticket>;
  /** Many tickets in one transaction: bulk requests. */
  readonly writer: TicketWriter;
  /** Tickets that wait for their transaction. */
  queued(): number;
  /** Takes no more single writes and waits for those it took. */
  drain(): Promise<void>;
}

export function createTickets(deps: TicketsDeps): Tickets {
  const { db, clock } = deps;
  const reads = createTicketReads(db);
  const writer = createTicketWriter(deps);
  const queue = createWriteQueue<TicketToWrite, TicketOutcome>(deps, {
    name: 'tickets',
    // The queue halves: it knows which callers already have their answer, so no half is ever written twice.
    commit: (rows, near) => writer.write(rows, { by: 'insert', badRows: 'throw', near }),
    bucketOf: ({ ticket }) => bucketOf(ticket.holder),
  });

  return {
    ...reads,
    ...createTicketTokens(deps),
    writer,
    async createTicket(ticket) {
      const outcome = await queue.write(ticket).catch(refuseBadRow);
      if (outcome.kind === 'created') return { ticket: outcome.ticket, replayed: false };
      if (outcome.kind === 'replayed') return { ticket: await reads.getTicket(outcome.ticketId), replayed: true };
      throw refusedWrite(outcome.code, outcome.ticketId);
    },
    async voidTicket({ ticketId, reason, actor }) {
      const [voided] = await db.query(voidTicket({ ticketId, reason, actor, at: clock.now() }));
      return voided ?? reads.getTicket(ticketId);
    },
    queued: () => queue.queued(),
    drain: () => queue.drain(),
  };
}

/** A row that the database refuses is the sender's affair, not a fault of the database. */
function refuseBadRow(error: unknown): never {
  if (error instanceof StorageError && error.fault?.kind === 'data') throw refusedWrite('ticket_refused', null);
  throw error;
}

/** Why a ticket was refused, in a sentence for whoever sent it. */
export const ticketRefusals = {
  ticket_key_reused:
    'This key belongs to a ticket of this holder with another content. Use a new key for a new ticket.',
  ticket_refused: 'The database refused this ticket.',
} as const satisfies Partial<Record<TicketErrorCode, string>>;

const refusedWrite = (code: keyof typeof ticketRefusals, ticketId: TicketId | null): DomainError<TicketErrorCode> =>
  new DomainError<TicketErrorCode>(code, ticketRefusals[code], ticketId === null ? {} : { ticket_id: ticketId });
