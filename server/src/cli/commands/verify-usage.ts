import type { Command } from 'commander';
import type { KeptUsageDifference } from '../../domains/usage/usage-compare-jobs.ts';
import { createUsageVerifyKind, type UsageVerifyResult } from '../../domains/usage/usage-verify-jobs.ts';
import type { JobKind } from '../../jobs/job.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { withJobOptions } from '../job-options.ts';
import { runVerify, type ToldDifference, type Verification, type VerifyOptions, verifyExits } from '../verify-run.ts';

/** `milliard verify usage` */
export const verifyUsageCommand = (context: CliContext): Command =>
  does<VerifyOptions>(
    withJobOptions(
      describedCommand('usage', {
        description:
          'Compare the daily sums of every day whose raw rows are there with these rows and the adjustments, and the totals with the sum of all days. May run while usage comes in. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          ['milliard verify usage', 'look only'],
          ['milliard verify usage --repair', 'put differing sums right'],
        ],
        exitCodes: verifyExits,
      }).option('--repair', 'put differing sums right'),
    ),
    context,
    (run, options) => runVerify(run, usage, options),
  );

const told = (found: KeptUsageDifference): ToldDifference => ({
  document: { ...found, day: found.day ?? '' },
  line:
    `${found.day ?? 'total'} ${found.subscription_id} ${found.usage_type}: ${found.stored_records} records, ${found.stored_used} used, ` +
    `${found.stored_price}; its rows say ${found.records}, ${found.used}, ${found.price}${found.mended ? ' (mended)' : ''}`,
});

const usage: Verification = {
  name: 'verify usage',
  kindOf: (tell) => createUsageVerifyKind({ onDifference: (difference) => tell(told(difference)) }) as JobKind,
  countsOf({ counts }) {
    const { days = 0, daily_sums = 0, totals = 0, raw_rows = 0, differences = 0, mended = 0 } = counts;
    return { days, daily_sums, totals, raw_rows, differences, mended };
  },
  lookedAt: ({ days = 0, daily_sums = 0, totals = 0, raw_rows = 0 }) =>
    `${days.toLocaleString('en')} days, ${daily_sums.toLocaleString('en')} daily sums of ${raw_rows.toLocaleString('en')} raw rows, ${totals.toLocaleString('en')} totals`,
  keptIn: (result) => (result as unknown as UsageVerifyResult).first_differences.map(told),
};
