import type { Command } from 'commander';
import { purgeKind } from '../../domains/tickets/ticket-rotation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJob } from '../run-job.ts';

/** `milliard tickets purge-tokens` */
export const purgeTokensCommand = (context: CliContext): Command =>
  does<JobOptions>(
    withJobOptions(
      describedCommand('purge-tokens', {
        description:
          'Delete tokens that were rotated longer ago than their rotation said (--keep-days). Servers do this by themselves once an hour.',
        examples: [['milliard tickets purge-tokens', 'what is due now; a token that is accepted is never touched']],
        exitCodes: jobExits,
      }),
    ),
    context,
    (run, options) =>
      withApp(run, 'tickets purge-tokens', ({ jobs }) =>
        runJob(run, jobs, { kind: purgeKind, parameters: {}, ...readJobOptions(options) }),
      ),
  );
