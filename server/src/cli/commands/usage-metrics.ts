import type { Command } from 'commander';
import { formatDay } from '../../core/days.ts';
import { utf8Text } from '../../core/text-lines.ts';
import { formatInstant, systemClock } from '../../core/time.ts';
import type { MetricsQuery, StreamFormat } from '../../domains/usage/usage-read.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { readPeriodUpTo, type SelectionOptions, withSelection } from '../usage-options.ts';
import { values } from '../values.ts';

interface Options extends SelectionOptions {
  readonly limit: string;
  readonly byDay?: boolean;
  readonly csv?: boolean;
}

/** `milliard usage metrics` */
export const usageMetricsCommand = (context: CliContext): Command =>
  does<Options>(
    withSelection(
      describedCommand('metrics', {
        description:
          'What each subscription used of each type in a period. The table shows the first rows; --json and --csv give all of them, of one moment.',
        examples: [
          ['milliard usage metrics', 'the past 30 days'],
          ['milliard usage metrics --subscription SUB789 --by-day --fresh', 'one subscription, day by day, up to now'],
          ['milliard usage metrics --from 2026-06-01 --to 2026-06-30 --csv > june.csv', 'everybody, for a spreadsheet'],
        ],
      }),
      { from: '30 days', to: 'today' },
    )
      .option('--by-day', 'a row for each UTC day with usage')
      .option('--limit <rows>', 'rows of the table, 1 to 500', '20')
      .option('--csv', 'everything as CSV on standard output'),
    context,
    async (run, options) => {
      if (run.output.json && options.csv === true) throw new UsageError('--json and --csv: give one of them.');
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const query: MetricsQuery = {
        selection: {
          days: readPeriodUpTo(options, systemClock.now()),
          usageType: options.type ?? null,
          subscriptionId: options.subscription ?? null,
        },
        byDay: options.byDay === true,
        fresh: options.fresh === true,
        waitFor: null,
      };
      if (run.output.json) await writeAll(run, query, 'ndjson');
      else if (options.csv === true) await writeAll(run, query, 'csv');
      else await showTable(run, query, limit);
      return undefined;
    },
  );

async function writeAll(run: Run, query: MetricsQuery, format: StreamFormat): Promise<void> {
  await withApp(run, 'usage metrics', async ({ usage }) => {
    const { asOf, chunks } = await usage.streamMetrics(query, format);
    for await (const text of utf8Text(chunks)) {
      run.signal.throwIfAborted();
      await run.output.write(text);
    }
    run.output.note(`As of ${formatInstant(asOf)}.`);
  });
}

async function showTable(run: Run, query: MetricsQuery, limit: number): Promise<void> {
  const { page, units } = await withApp(run, 'usage metrics', async ({ usage }) => ({
    page: await usage.metrics(query, { after: null, limit }),
    units: new Map(usage.types().map(({ usageType, unit }) => [usageType, unit])),
  }));
  const day = query.byDay ? ['DAY'] : [];
  if (page.items.length === 0) run.output.say('There is no such usage.');
  else
    run.output.table(
      ['SUBSCRIPTION', 'TYPE', ...day, 'PRICE', 'USED', 'UNIT', 'RECORDS'],
      page.items.map((sum) => [
        sum.subscriptionId,
        sum.usageType,
        ...(sum.day === null ? [] : [formatDay(sum.day)]),
        sum.totalPrice,
        sum.totalUsed,
        units.get(sum.usageType) ?? '',
        String(sum.records),
      ]),
    );
  if (page.next !== null) run.output.note('There is more: --limit, or everything by --json or --csv.');
  run.output.note(`As of ${formatInstant(page.asOf)}.`);
}
