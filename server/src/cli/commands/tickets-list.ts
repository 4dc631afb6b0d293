import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import { toTicketDocument } from '../../http/ticket-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options {
  readonly event?: string;
  readonly holder?: string;
  readonly limit: string;
  readonly after?: string;
  readonly oldest?: boolean;
}

/** `milliard tickets list` */
export const listTicketsCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('list', {
      description: 'A page of the tickets of an event, of a holder, or of both.',
      examples: [
        ['milliard tickets list --event jazz-night --limit 10', 'the newest ones of an event'],
        ['milliard tickets list --holder GUEST001 --json | jq -r .ticket_id', 'the API documents, one a line'],
      ],
    })
      .option('--event <event>', 'only tickets of this event')
      .option('--holder <holder>', 'only tickets of this holder')
      .option('--limit <rows>', 'at most so many, 1 to 500', '20')
      .option('--after <ticket-id>', 'go on behind this ticket')
      .option('--oldest', 'oldest first (newest first without)'),
    context,
    async (run, options) => {
      const filter = { event: options.event ?? null, holder: options.holder ?? null };
      if (filter.event === null && filter.holder === null)
        throw new UsageError('Say which tickets: --event, --holder, or both.');
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const after = options.after === undefined ? null : values.ticketId(options.after);
      const direction = options.oldest === true ? 'oldest' : 'newest';
      const page = await withApp(run, 'tickets list', ({ tickets }) =>
        tickets.listTickets({ filter, direction, limit, after }),
      );
      for (const ticket of page.items) await run.output.record(toTicketDocument(ticket));
      if (run.output.json) return undefined;
      if (page.items.length === 0) run.output.say('There is no such ticket.');
      else
        run.output.table(
          ['TICKET', 'NUMBER', 'HOLDER', 'EVENT', 'SEAT', 'CREATED', 'STATUS'],
          page.items.map((ticket) => [
            ticket.ticketId,
            ticket.ticketNumber ?? '',
            ticket.holder,
            ticket.event,
            ticket.seat ?? '',
            formatInstant(ticket.createdAt),
            ticket.voidedAt === null ? 'active' : 'void',
          ]),
        );
      if (page.next !== null) run.output.note(`More: --after ${page.next}`);
      return undefined;
    },
  );
