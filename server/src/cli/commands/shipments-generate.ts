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
  readonly from?: string;
  readonly to?: string;
  readonly seed?: string;
}

/** `milliard shipments generate` */
export const generateShipmentsCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('generate', {
        description:
          'Make up shipments with articles and events, for trying things out at size: eight carriers with numbers of their forms, addresses in eleven countries. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          ['milliard shipments generate --count 100000', 'spread over the past 90 days'],
          ['milliard shipments generate --count 1000000 --seed 7', 'the same shipments every time'],
          ['milliard shipments generate --count 1000 --from 2026-11-01 --to 2026-11-08', 'one week'],
        ],
        exitCodes: [[1, 'failed, or shipments of a like seed with other options are there already'], ...jobExits],
      })
        .requiredOption('--count <shipments>', 'how many')
        .option('--from <time>', 'announced at or after this day or instant (90 days back)')
        .option('--to <time>', 'announced before this day or instant; nothing happens later (today, midnight UTC)')
        .option('--seed <number>', 'the same seed and flags make the same shipments (drawn by lot)'),
    ),
    context,
    generate,
  );

async function generate(run: Run, options: Options): Promise<number> {
  const parameters = readParameters(options, systemClock.now());
  const jobOptions = readJobOptions(options);
  const { exitCode, done } = await withApp(run, 'shipments generate', ({ jobs }) =>
    runJobForOutcome(run, jobs, { kind: 'shipments.generate', parameters, ...jobOptions }),
  );
  return done === null ? exitCode : report(run, done);
}

async function report({ output }: Run, { counts, result }: JobRun): Promise<number> {
  const { shipments_created = 0, shipments_replayed = 0, shipments_rejected = 0, articles = 0, events = 0 } = counts;
  const { seed } = result as { readonly seed: number };
  if (shipments_rejected > 0)
    output.warn(
      `${shipments_rejected.toLocaleString('en')} were refused: other shipments had their numbers before. Choose another --seed.`,
    );
  await output.record({ seed, shipments_created, shipments_replayed, shipments_rejected, articles, events });
  return shipments_rejected > 0 ? exitCodes.failed : exitCodes.done;
}

/** @throws UsageError */
function readParameters(options: Options, now: Instant) {
  const { from, to } = options;
  const fromAt = from === undefined ? null : values.instant('--from', from);
  const toAt = to === undefined ? Math.floor(now / dayMs) * dayMs : values.instant('--to', to);
  if (fromAt !== null && fromAt >= toAt) throw new UsageError('--from must lie before --to.');
  if (toAt > now) throw new UsageError('--to lies in the future: these shipments are on their way already.');
  if (fromAt !== null && fromAt < Date.UTC(1995)) throw new UsageError('--from lies before 1995.');
  return {
    count: values.integer('--count', options.count, [1, 1_000_000_000]),
    from: from ?? null,
    to: to ?? null,
    seed: options.seed === undefined ? null : values.integer('--seed', options.seed, [0, 2 ** 32 - 1]),
  };
}
