import type { Command } from 'commander';
import { usageSpreads } from '../../domains/usage/usage-generator.ts';
import type { JobRun } from '../../jobs/job.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJobForOutcome } from '../job-outcome.ts';
import { usageDay } from '../usage-days.ts';
import { values } from '../values.ts';

interface Options extends JobOptions {
  readonly count: string;
  readonly distribution: string;
  readonly subscriptions?: string;
  readonly days?: string;
  readonly to?: string;
  readonly seed?: string;
}

/** `milliard usage generate` */
export const usageGenerateCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('generate', {
        description:
          'Make up raw usage of data and voice, for trying things out at size. Records are g<seed>-<n>, subscriptions SUB<n>. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          ['milliard usage generate --count 1000000', '200,000 subscriptions over the past 7 days'],
          ['milliard usage generate --count 1000000 --distribution hot', '2,000 subscriptions on one day'],
          [
            'milliard usage generate --count 10000 --subscriptions 50 --days 14 --to 2026-11-20 --seed 7',
            'the same records every time',
          ],
        ],
        exitCodes: [[1, 'failed, or some records were refused: their days were dropped'], ...jobExits],
      })
        .requiredOption('--count <records>', 'how many')
        .option('--distribution <hot|uniform>', 'hot: few sums, added to again and again; uniform: many', 'uniform')
        .option('--subscriptions <count>', 'how many share them (hot: 2,000; uniform: 200,000)')
        .option('--days <count>', 'over how many days they are spread (hot: 1; uniform: 7)')
        .option('--to <day>', 'the last UTC day (yesterday)')
        .option('--seed <number>', 'the same seed and flags make the same records (drawn by lot)'),
    ),
    context,
    generate,
  );

const optional = (flag: string, text: string | undefined, range: readonly [number, number]): number | null =>
  text === undefined ? null : values.integer(flag, text, range);

async function generate(run: Run, options: Options): Promise<number> {
  const parameters = {
    count: values.integer('--count', options.count, [1, 1_000_000_000]),
    distribution: values.choice('--distribution', options.distribution, Object.keys(usageSpreads)),
    subscriptions: optional('--subscriptions', options.subscriptions, [1, 100_000_000]),
    days: optional('--days', options.days, [1, 365]),
    to: options.to === undefined ? null : usageDay('--to', options.to),
    seed: optional('--seed', options.seed, [0, 2 ** 32 - 1]),
  };
  const jobOptions = readJobOptions(options);
  const { exitCode, done } = await withApp(run, 'usage generate', ({ jobs }) =>
    runJobForOutcome(run, jobs, { kind: 'usage.generate', parameters, ...jobOptions }),
  );
  return done === null ? exitCode : report(run, done);
}

async function report({ output }: Run, { counts, result }: JobRun): Promise<number> {
  const { records_created = 0, records_replayed = 0, records_rejected = 0 } = counts;
  if (records_rejected > 0)
    output.warn(`${records_rejected.toLocaleString('en')} were refused: the raw rows of their days were dropped.`);
  await output.record({ ...(result as object), records_created, records_replayed, records_rejected });
  return records_rejected > 0 ? exitCodes.failed : exitCodes.done;
}
