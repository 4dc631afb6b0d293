import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { generateTicketsCommand } from './tickets-generate.ts';
import { getTicketCommand } from './tickets-get.ts';
import { listTicketsCommand } from './tickets-list.ts';
import { purgeTokensCommand } from './tickets-purge-tokens.ts';
import { rotateCommand } from './tickets-rotate.ts';
import { verifyTicketCommand } from './tickets-verify.ts';
import { voidTicketCommand } from './tickets-void.ts';

/** `milliard tickets generate|verify|rotate|get|list|void|purge-tokens` */
export const ticketsCommand = (context: CliContext): Command =>
  describedCommand('tickets', {
    description:
      'Tickets and their secret tokens: make some up, look at them, verify a token, rotate all tokens, make a ticket void.',
    examples: [
      ['milliard tickets generate --count 100000', 'tickets to try things out with'],
      ['milliard tickets verify - < token.txt', 'what a token is worth'],
      ['milliard tickets rotate --reason "backup stolen"', 'every token has leaked: refuse them all, issue new ones'],
    ],
  })
    .addCommand(generateTicketsCommand(context))
    .addCommand(verifyTicketCommand(context))
    .addCommand(rotateCommand(context))
    .addCommand(listTicketsCommand(context))
    .addCommand(getTicketCommand(context))
    .addCommand(voidTicketCommand(context))
    .addCommand(purgeTokensCommand(context));
