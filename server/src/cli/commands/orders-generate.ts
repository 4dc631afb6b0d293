import type { Command } from 'commander';
import { dayMs, type Instant, systemClock } from '../../core/time.ts';
import type { JobRun } from '../../jobs/job.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJobForOutcome } from '../job-outcome.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options extends JobOptions {
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
    withJobOptions(
      describedCommand('generate', {
        description:
          'Make up orders with items and histories, for trying things out at size. Numbers are GEN<seed>-<n>. A job: the same command goes on with one that was stopped or killed.',
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
        exitCodes: [[1, 'failed, or orders of the same seed with other options are there already'], ...jobExits],
      })
        .requiredOption('--count <orders>', 'how many')
        .option('--customers <count>', 'how many customers share them (a tenth of --count)')
        .option('--zipf <exponent>', 'customer k has orders in proportion to 1/k^exponent; 0 = all alike', '1')
        .option('--from <time>', 'placed at or after this day or instant (24 months back)')
        .option('--to <time>', 'placed before this day or instant (today, midnight UTC)')
        .option('--cancelled <share>', 'share of cancelled orders, 0 to 1', '0.08')
        .option('--seed <number>', 'the same seed and flags make the same orders (drawn by lot)'),
    ),
    context,
    generate,
  );

async function generate(run: Run, options: Options): Promise<number> {
  const parameters = readParameters(options, systemClock.now());
  const jobOptions = readJobOptions(options);
  const { exitCode, done } = await withApp(run, 'orders generate', ({ jobs }) =>
    runJobForOutcome(run, jobs, { kind: 'orders.generate', parameters, ...jobOptions }),
  );
  return done === null ? exitCode : report(run, done);
}

async function report({ output }: Run, { counts, result }: JobRun): Promise<number> {
  const { orders_created = 0, orders_replayed = 0, orders_rejected = 0, items = 0 } = counts;
  const { seed } = result as { readonly seed: number };
  if (orders_rejected > 0)
    output.warn(
      `${orders_rejected.toLocaleString('en')} were refused: seed ${seed} made other orders under their numbers before. Choose another --seed.`,
    );
  await output.record({ seed, orders_created, orders_replayed, orders_rejected, items });
  return orders_rejected > 0 ? exitCodes.failed : exitCodes.done;
}

/** @throws UsageError */
function readParameters(options: Options, now: Instant) {
  const { from, to } = options;
  const fromAt = from === undefined ? null : values.instant('--from', from);
  const toAt = to === undefined ? Math.floor(now / dayMs) * dayMs : values.instant('--to', to);
  if (fromAt !== null && fromAt >= toAt) throw new UsageError('--from must lie before --to.');
  if (toAt > now) throw new UsageError('--to lies in the future: orders are placed in the past.');
  if (fromAt !== null && fromAt < Date.UTC(1995))
    throw new UsageError('--from lies before 1995, the first year that is kept.');
  return {
    count: values.integer('--count', options.count, [1, 1_000_000_000]),
    ...(options.customers === undefined
      ? {}
      : { customers: values.integer('--customers', options.customers, [1, 10_000_000]) }),
    zipf: values.decimal('--zipf', options.zipf, [0, 10]),
    from: from ?? null,
    to: to ?? null,
    cancelled: values.decimal('--cancelled', options.cancelled, [0, 1]),
    seed: options.seed === undefined ? null : values.integer('--seed', options.seed, [0, 2 ** 32 - 1]),
  };
}
