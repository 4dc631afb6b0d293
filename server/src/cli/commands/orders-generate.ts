import { randomInt } from 'node:crypto';
import type { Command } from 'commander';
import { dayMs, type Instant, type Month, monthOf, startOfMonth, systemClock } from '../../core/time.ts';
import { generateAndWrite } from '../../domains/orders/order-generate-service.ts';
import type { GenerateOptions } from '../../domains/orders/order-generator.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options {
  readonly count: string;
  readonly customers?: string;
  readonly zipf: string;
  readonly from?: string;
  readonly to?: string;
  readonly cancelled: string;
  readonly seed?: string;
}

/** `milliard orders generate` */
export const generateCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('generate', {
      description: 'Make up orders with items and histories, for trying things out at size. Numbers are GEN<seed>-<n>.',
      examples: [
        ['milliard orders generate --count 100000', 'spread over the past 24 months'],
        [
          'milliard orders generate --count 1000000 --customers 50000 --zipf 1.2 --seed 7',
          'a few customers have most orders; the same orders every time',
        ],
        [
          'milliard orders generate --count 1000 --from 2026-01-01 --to 2026-02-01 --cancelled 0.5',
          'one month, half of it cancelled',
        ],
      ],
      exitCodes: [[1, 'failed, or orders of the same seed with other options are there already']],
    })
      .requiredOption('--count <orders>', 'how many')
      .option('--customers <count>', 'how many customers share them (a tenth of --count)')
      .option('--zipf <exponent>', 'customer k has orders in proportion to 1/k^exponent; 0 = all alike', '1')
      .option('--from <time>', 'placed at or after this day or instant (24 months back)')
      .option('--to <time>', 'placed before this day or instant (today, midnight UTC)')
      .option('--cancelled <share>', 'share of cancelled orders, 0 to 1', '0.08')
      .option('--seed <number>', 'the same seed and flags make the same orders (drawn by lot)'),
    context,
    generate,
  );

async function generate(run: Run, options: Options): Promise<number> {
  const request = { ...readOptions(options, systemClock.now()), currency: run.config().currency };
  const { output, signal } = run;
  const progress = output.progress({ title: 'generating' });
  const startedMs = performance.now();
  const summary = await withApp(run, 'orders generate', (app) =>
    generateAndWrite(app.orders.writer, {
      ...request,
      signal,
      onProgress: (orders) => progress.update(orders, request.count, `${orders.toLocaleString('en')} orders`),
    }),
  ).finally(() => progress.stop());
  const seconds = (performance.now() - startedMs) / 1_000;
  const replayed = summary.replayed === 0 ? '' : `, ${summary.replayed.toLocaleString('en')} were there already`;
  output.say(
    `${summary.created.toLocaleString('en')} orders made with seed ${request.seed}${replayed} (${seconds.toFixed(1)} s).`,
  );
  if (summary.refused > 0) {
    output.warn(
      `${summary.refused.toLocaleString('en')} were refused: seed ${request.seed} made other orders under their numbers before. Choose another --seed.`,
    );
  }
  await output.record({
    seed: request.seed,
    orders_created: summary.created,
    orders_replayed: summary.replayed,
    orders_rejected: summary.refused,
    items: summary.items,
  });
  return summary.refused > 0 ? exitCodes.failed : exitCodes.done;
}

function readOptions(options: Options, now: Instant): Omit<GenerateOptions, 'currency'> {
  const count = values.integer('--count', options.count, [1, 1_000_000_000]);
  // Midnight, so that the same seed makes the same orders all day long.
  const to =
    options.to === undefined ? ((Math.floor(now / dayMs) * dayMs) as Instant) : values.instant('--to', options.to);
  const from =
    options.from === undefined ? startOfMonth((monthOf(to) - 24) as Month) : values.instant('--from', options.from);
  if (from >= to) throw new UsageError('--from must lie before --to.');
  if (to > now) throw new UsageError('--to lies in the future: orders are placed in the past.');
  if (from < Date.UTC(1995)) throw new UsageError('--from lies before 1995, the first year that is kept.');
  return {
    count,
    from,
    to,
    customers:
      options.customers === undefined
        ? Math.max(1, Math.ceil(count / 10))
        : values.integer('--customers', options.customers, [1, 10_000_000]),
    zipf: values.decimal('--zipf', options.zipf, [0, 10]),
    cancelledShare: values.decimal('--cancelled', options.cancelled, [0, 1]),
    seed: options.seed === undefined ? randomInt(2 ** 32) : values.integer('--seed', options.seed, [0, 2 ** 32 - 1]),
  };
}
