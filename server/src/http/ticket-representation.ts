import { z } from 'zod';
import { formatInstant } from '../core/time.ts';
import { type Ticket, versionOf } from '../domains/tickets/ticket.ts';
import { tokenVerdicts } from '../domains/tickets/ticket-token.ts';
import type { Verification } from '../domains/tickets/ticket-token-service.ts';

export const ticketExample = {
  ticket_id: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
  ticket_number: 'T-1001',
  holder: 'CUST789',
  event: 'summer-fair-2026',
  seat: 'A 12',
  created_at: '2026-06-30T12:30:00.000Z',
  status: 'active',
  voided_at: null,
  voided_by: null,
  void_reason: null,
  version: 1,
};

export const ticketSchema = z
  .object({
    ticket_id: z.string().meta({ format: 'uuid', description: 'A version 7 UUID: it sorts by created_at. No secret.' }),
    ticket_number: z.string().nullable().meta({ description: 'The name the client gave it, unique per holder.' }),
    holder: z.string(),
    event: z.string(),
    seat: z.string().nullable(),
    created_at: z.string().meta({ format: 'date-time' }),
    status: z.enum(['active', 'void']),
    voided_at: z.string().nullable().meta({ format: 'date-time' }),
    voided_by: z.string().nullable().meta({ description: 'The API key that made it void.' }),
    void_reason: z.string().nullable(),
    version: z.int().meta({ description: 'Rises when the ticket becomes void; the ETag is "v<version>".' }),
  })
  .meta({ id: 'Ticket', examples: [ticketExample] });
export type TicketDocument = z.output<typeof ticketSchema>;

export const ticketPageSchema = z
  .object({
    items: z.array(ticketSchema),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'Give it as `cursor` for the next page; null on the last page.' }),
    next: z.string().nullable().meta({ description: 'The URL of the next page; null on the last page.' }),
  })
  .meta({ id: 'TicketPage' });

export const tokenSchema = z
  .object({
    token: z.string().meta({
      format: 'uuid',
      description: 'The secret: whoever has it has the ticket. It can be sent on to /tickets/verify as it is.',
    }),
  })
  .meta({ id: 'TicketToken' });

export const verificationSchema = z
  .object({
    result: z.enum(tokenVerdicts).meta({
      description:
        'valid: it opens the ticket; unknown: no token of this server, or one long gone; token_rotated: it was real and is revoked; void: the ticket was made void.',
    }),
    ticket: ticketSchema.nullable().meta({
      description: 'The ticket of a valid token, and one that is void. A revoked token tells nothing of its ticket.',
    }),
  })
  .meta({ id: 'TicketVerification', examples: [{ result: 'valid', ticket: ticketExample }] });

/** A ticket as the API shows it. */
export const toTicketDocument = (ticket: Ticket): TicketDocument => ({
  ticket_id: ticket.ticketId,
  ticket_number: ticket.ticketNumber,
  holder: ticket.holder,
  event: ticket.event,
  seat: ticket.seat,
  created_at: formatInstant(ticket.createdAt),
  status: ticket.voidedAt === null ? 'active' : 'void',
  voided_at: ticket.voidedAt === null ? null : formatInstant(ticket.voidedAt),
  voided_by: ticket.voidedBy,
  void_reason: ticket.voidReason,
  version: versionOf(ticket),
});

export const toVerificationDocument = ({ verdict, ticket }: Verification) => ({
  result: verdict,
  ticket: ticket === null ? null : toTicketDocument(ticket),
});
