import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import { toJobDocument } from '../../http/job-representation.ts';
import { type JobRun, jobStates } from '../../jobs/job.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { type DatabaseOption, withDatabaseOption, withJobs } from '../job-database.ts';
import { readRunId } from '../job-options.ts';
import { doneText, percentText, remainingText } from '../job-texts.ts';
import { values } from '../values.ts';

interface ListOptions extends DatabaseOption {
  readonly state?: string;
  readonly kind?: string;
  readonly limit: string;
  readonly after?: string;
}

/** `milliard jobs list` */
export const listCommand = (context: CliContext): Command =>
  does<ListOptions>(
    withDatabaseOption(
      describedCommand('list', {
        description: 'Jobs, newest first.',
        examples: [
          ['milliard jobs list --state queued,running,paused', 'what is not finished'],
          ['milliard jobs list --kind tickets.rotate --json | jq -r .run_id', 'the API documents, one a line'],
        ],
      })
        .option('--state <list>', `only these, separated by commas: ${jobStates.join(', ')}`)
        .option('--kind <kind>', 'only jobs of this kind')
        .option('--limit <rows>', 'at most so many, 1 to 500', '20')
        .option('--after <run-id>', 'go on behind this one'),
    ),
    context,
    async (run, options) => {
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const states =
        options.state?.split(',').map((state) => values.choice('--state', state.trim(), jobStates)) ?? jobStates;
      const after = options.after === undefined ? null : readRunId(options.after);
      const found = await withJobs(run, { ...options, purpose: 'jobs list' }, (jobs) =>
        jobs.list({ states, kind: options.kind ?? null, limit: limit + 1, after }),
      );
      const page = found.slice(0, limit);
      for (const job of page) await run.output.record(toJobDocument(job));
      if (run.output.json) return undefined;
      if (page.length === 0) run.output.say('There is no such job.');
      else run.output.table(['RUN', 'KIND', 'STATE', 'DONE', '', 'LEFT', 'STARTED', 'BY'], page.map(toRow));
      if (found.length > limit) run.output.note(`More: --after ${page.at(-1)?.runId}`);
      return undefined;
    },
  );

const toRow = (job: JobRun) => [
  job.runId,
  job.kind,
  job.waitReason === null || job.state !== 'running' ? job.state : `waits: ${job.waitReason}`,
  doneText(job),
  percentText(job) ?? '',
  job.state === 'running' && job.remainingMs !== null ? remainingText(job.remainingMs) : '',
  formatInstant(job.startedAt ?? job.createdAt),
  job.actor,
];
