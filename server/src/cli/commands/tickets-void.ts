import type { Command } from 'commander';
import { toTicketDocument } from '../../http/ticket-representation.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';
import { statusText } from './tickets-get.ts';

/** `milliard tickets void` */
export const voidTicketCommand = (context: CliContext): Command =>
  does<{ reason?: string }>(
    describedCommand('void', {
      description: 'Make a ticket void, once and for all. One that is void already stays as it is.',
      examples: [
        [
          'milliard tickets void 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60 --reason refunded',
          'its token opens nothing more',
        ],
      ],
      exitCodes: [[1, 'there is no such ticket']],
    })
      .argument('<ticket-id>', 'a version 7 UUID')
      .option('--reason <text>', 'why, for whoever asks later'),
    context,
    async (run, { reason }, [text = '']) => {
      const ticketId = values.ticketId(text);
      if (reason !== undefined && (reason === '' || reason.length > 500))
        throw new UsageError('--reason must have 1 to 500 characters.');
      const ticket = await withApp(run, 'tickets void', ({ tickets }) =>
        tickets.voidTicket({ ticketId, reason: reason ?? null, actor: cliActor() }),
      );
      run.output.say(`${ticket.ticketId}: ${statusText(ticket)}`);
      await run.output.record(toTicketDocument(ticket));
      return undefined;
    },
  );
