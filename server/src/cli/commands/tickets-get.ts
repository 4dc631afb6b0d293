import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import type { Ticket } from '../../domains/tickets/ticket.ts';
import { toTicketDocument } from '../../http/ticket-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import type { Output } from '../output.ts';
import { values } from '../values.ts';

/** `milliard tickets get` */
export const getTicketCommand = (context: CliContext): Command =>
  does(
    describedCommand('get', {
      description: 'One ticket, without its token: only GET /api/v1/tickets/{id}/token shows that.',
      examples: [['milliard tickets get 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', 'ids stand in `milliard tickets list`']],
      exitCodes: [[1, 'there is no such ticket']],
    }).argument('<ticket-id>', 'a version 7 UUID'),
    context,
    async (run, _options, [text = '']) => {
      const id = values.ticketId(text);
      const ticket = await withApp(run, 'tickets get', (app) => app.tickets.getTicket(id));
      if (!run.output.json) showTicket(run.output, ticket);
      await run.output.record(toTicketDocument(ticket));
      return undefined;
    },
  );

/** A ticket for a person. */
export function showTicket(output: Output, ticket: Ticket): void {
  output.say(`ticket   ${ticket.ticketId}`);
  output.say(`number   ${ticket.ticketNumber ?? '(none)'}`);
  output.say(`holder   ${ticket.holder}`);
  output.say(`event    ${ticket.event}`);
  output.say(`seat     ${ticket.seat ?? '(none)'}`);
  output.say(`created  ${formatInstant(ticket.createdAt)}`);
  output.say(`status   ${statusText(ticket)}`);
}

/** `active`, or since when and why it is void. */
export function statusText({ voidedAt, voidedBy, voidReason }: Ticket): string {
  if (voidedAt === null) return 'active';
  const why = voidReason === null ? '' : ` (${voidReason})`;
  return `void${why} since ${formatInstant(voidedAt)}, by ${voidedBy ?? 'nobody known'}`;
}
