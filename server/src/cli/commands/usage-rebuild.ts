import type { Command } from 'commander';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJobForOutcome } from '../job-outcome.ts';
import { countText } from '../job-texts.ts';
import { UsageError } from '../stopped.ts';
import { usageDay } from '../usage-days.ts';

interface Options extends JobOptions {
  readonly from: string;
  readonly to: string;
}

/** `milliard usage rebuild` */
export const usageRebuildCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('rebuild', {
        description:
          'Make the sums of some days anew from their raw rows and adjustments, and the totals after them, while usage comes in. Days whose raw rows were dropped are refused. A job: the same command goes on with one that was stopped or killed.',
        examples: [['milliard usage rebuild --from 2026-11-15 --to 2026-11-20', 'six days, both ends included']],
        exitCodes: [[1, 'failed, or the raw rows of a day are gone'], ...jobExits],
      })
        .requiredOption('--from <day>', 'the first UTC day')
        .requiredOption('--to <day>', 'the last UTC day'),
    ),
    context,
    rebuild,
  );

async function rebuild(run: Run, options: Options): Promise<number> {
  const [from, to] = [usageDay('--from', options.from), usageDay('--to', options.to)];
  if (from > to) throw new UsageError('--from must not lie behind --to.');
  const { exitCode, done } = await withApp(run, 'usage rebuild', ({ jobs }) =>
    runJobForOutcome(run, jobs, {
      kind: 'usage.rebuild',
      parameters: { from, to },
      ...readJobOptions(options),
      summary: ({ counts: { days = 0, daily_sums = 0, raw_rows = 0, mended = 0 } }) =>
        `${days} days, ${countText(daily_sums)} sums of ${countText(raw_rows)} raw rows: ${countText(mended)} were wrong and are right now.`,
      onDone() {},
    }),
  );
  if (done === null) return exitCode;
  const { days = 0, daily_sums = 0, raw_rows = 0, differences = 0, mended = 0 } = done.counts;
  await run.output.record({ days, daily_sums, raw_rows, differences, mended });
  return exitCode;
}
