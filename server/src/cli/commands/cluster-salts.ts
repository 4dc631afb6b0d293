import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';

/** `milliard cluster salts` */
export const saltsCommand = (context: CliContext): Command =>
  does(
    describedCommand('salts', {
      description: 'The customers whose orders are spread over more than one bucket, with every layout they have had.',
      examples: [['milliard cluster salts --json', 'one JSON document a customer']],
    }),
    context,
    async ({ output, ...run }) => {
      const customers = await withApp({ output, ...run }, 'cluster salts', ({ salting }) => salting.list());
      if (customers.length === 0) output.say('No customer has more than one way.');
      else if (!output.json) {
        output.table(
          ['CUSTOMER', 'WAYS', 'STATE', 'SINCE'],
          customers.map(({ customerId, ways, state, since }) => [
            customerId,
            ways.join(' → '),
            state,
            formatInstant(since),
          ]),
        );
      }
      for (const { customerId, ways, state, since } of customers) {
        await output.record({ customer_id: customerId, ways, state, since: formatInstant(since) });
      }
      return 0;
    },
  );
