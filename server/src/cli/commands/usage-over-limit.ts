import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import { parseLimit } from '../../domains/usage/decimal.ts';
import { toOverLimitDocument } from '../../http/usage-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { readPeriod, type SelectionOptions, withSelection } from '../usage-options.ts';
import { values } from '../values.ts';

interface Options extends SelectionOptions {
  readonly limit: string;
  readonly after?: string;
}

/** `milliard usage over-limit` */
export const usageOverLimitCommand = (context: CliContext): Command =>
  does<Options>(
    withSelection(
      describedCommand('over-limit', {
        description:
          'Subscriptions whose usage of a type costs a limit or more, over all time or in a period. Types are judged one by one.',
        examples: [
          ['milliard usage over-limit 12.34', 'everybody who ever used for 12.34 or more'],
          ['milliard usage over-limit 50 --from 2026-06-01 --to 2026-06-30 --type data', 'data, in June'],
          ['milliard usage over-limit 50 --limit 500 --json', 'the API documents, one a line'],
        ],
      }).argument('<price>', 'the limit, an exact decimal with up to 6 places'),
      { from: 'all time', to: 'all time' },
    )
      .option('--limit <rows>', 'at most so many subscriptions, 1 to 500', '20')
      .option('--after <subscription>', 'go on behind this subscription'),
    context,
    async (run, options, [price = '']) => {
      const priceLimit = parseLimit(price);
      if (priceLimit === null) {
        throw new UsageError(`"${price}" is no limit: give a decimal of 0 or more with up to 6 places, e.g. 12.34.`);
      }
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const selection = {
        days: readPeriod(options),
        usageType: options.type ?? null,
        subscriptionId: options.subscription ?? null,
      };
      const query = { selection, priceLimit, fresh: options.fresh === true, waitFor: null };
      const page = await withApp(run, 'usage over-limit', ({ usage }) =>
        usage.overLimit(query, { after: options.after ?? null, limit }),
      );
      for (const item of page.items) await run.output.record(toOverLimitDocument(item));
      if (!run.output.json) {
        if (page.items.length === 0) run.output.say('Nobody has reached this limit.');
        else
          run.output.table(
            ['SUBSCRIPTION', 'TYPE', 'TOTAL', 'OVER BY'],
            page.items.flatMap(({ subscriptionId, exceeded }) =>
              exceeded.map(({ usageType, totalPrice, exceededBy }) => [
                subscriptionId,
                usageType,
                totalPrice,
                exceededBy,
              ]),
            ),
          );
        if (page.next !== null) run.output.note(`More: --after ${page.next}`);
      }
      run.output.note(`As of ${formatInstant(page.asOf)}.`);
      return undefined;
    },
  );
