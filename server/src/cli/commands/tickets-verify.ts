import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { TokenVerdict } from '../../domains/tickets/ticket-token.ts';
import { toVerificationDocument } from '../../http/ticket-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { showTicket } from './tickets-get.ts';

const meanings = {
  valid: 'valid: it opens this ticket',
  unknown: 'unknown: this is no token of this database, or one long gone',
  token_rotated: 'token_rotated: it was real and is revoked; its holder has a new one',
  void: 'void: it is the token of this ticket, which was made void',
} as const satisfies Record<TokenVerdict, string>;

/** `milliard tickets verify -` */
export const verifyTicketCommand = (context: CliContext): Command =>
  does(
    describedCommand('verify', {
      description:
        'What a token is worth. It is read from standard input, never from the command line: that is seen by everybody on the machine, and kept in the history of the shell.',
      examples: [
        ['milliard tickets verify - < token.txt', 'a token in a file'],
        ['milliard tickets verify -', 'then paste it and press Enter'],
      ],
      exitCodes: [[exitCodes.rejected, 'the token is not valid']],
    }).argument('<->', 'a single dash: the token comes on standard input'),
    context,
    async (run, _options, [source]) => {
      if (source !== '-') {
        throw new UsageError(
          'A token does not belong on the command line, where everybody on this machine sees it: `milliard tickets verify -` reads it from standard input.',
        );
      }
      const { stdin } = run.context;
      if ('isTTY' in stdin && stdin.isTTY === true) run.output.note('Paste the token and press Enter:');
      const token = await firstLine(stdin);
      if (token === '') throw new UsageError('No token came on standard input.');
      const verification = await withApp(run, 'tickets verify', ({ tickets }) => tickets.verifyToken(token));
      run.output.say(meanings[verification.verdict]);
      if (verification.ticket !== null && !run.output.json) showTicket(run.output, verification.ticket);
      await run.output.record(toVerificationDocument(verification));
      return verification.verdict === 'valid' ? exitCodes.done : exitCodes.rejected;
    },
  );

const longestLine = 1_000;

/** The first line of the input without white space around it; the rest is not read. */
async function firstLine(input: Readable): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    if (text.includes('\n') || text.length > longestLine) break;
  }
  return (text.split('\n')[0] ?? '').slice(0, longestLine).trim();
}
