import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import { toJobErrorDocument } from '../../http/job-representation.ts';
import type { RunId } from '../../jobs/job.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext, Run } from '../context.ts';
import { type DatabaseOption, withDatabaseOption, withJobs } from '../job-database.ts';
import { readRunId } from '../job-options.ts';
import { values } from '../values.ts';

/** `milliard jobs errors` */
export const errorsCommand = (context: CliContext): Command =>
  does<DatabaseOption & { limit: string }>(
    withDatabaseOption(
      describedCommand('errors', {
        description: 'The rows of a job that could not be done, in the order in which they were met.',
        examples: [
          ['milliard jobs errors 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', 'the first of them'],
          [
            'milliard jobs errors 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60 --limit 1000000 --json',
            'all of them, one a line',
          ],
        ],
        exitCodes: [[1, 'there is no job of this id']],
      })
        .argument('<run-id>', 'see `milliard jobs list`')
        .option('--limit <rows>', 'at most so many', '50'),
    ),
    context,
    async (run, options, [text = '']) => {
      const runId = readRunId(text);
      const limit = values.integer('--limit', options.limit, [1, 1_000_000_000]);
      await withJobs(run, { ...options, purpose: 'jobs errors' }, (jobs) => showErrors(run, jobs, { runId, limit }));
      return undefined;
    },
  );

const pageRows = 500;

async function showErrors(
  { output, signal }: Run,
  jobs: Jobs,
  { runId, limit }: { readonly runId: RunId; readonly limit: number },
): Promise<void> {
  const { failedRows } = await jobs.get(runId);
  let shown = 0;
  let after = 0;
  while (shown < limit) {
    signal.throwIfAborted();
    const page = await jobs.errors(runId, { limit: Math.min(pageRows, limit - shown), after });
    const last = page.at(-1);
    if (last === undefined) break;
    for (const error of page) await output.record(toJobErrorDocument(error));
    if (!output.json) {
      output.table(
        ['ROW', 'CODE', 'WHAT IS WRONG', 'WHEN'],
        page.map((error) => [error.rowKey, error.code, error.detail, formatInstant(error.recordedAt)]),
      );
    }
    shown += page.length;
    after = last.position;
  }
  if (shown === 0) output.say('No row failed.');
  else if (shown < failedRows) output.note(`${failedRows - shown} more: --limit ${failedRows}`);
}
