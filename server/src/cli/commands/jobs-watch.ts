import type { Command } from 'commander';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { type DatabaseOption, endingFor, withDatabaseOption, withJobs } from '../job-database.ts';
import { endingOfKind } from '../job-endings.ts';
import { readRunId } from '../job-options.ts';
import { watchJob } from '../run-job.ts';

/** `milliard jobs watch` */
export const watchCommand = (context: CliContext): Command =>
  does<DatabaseOption>(
    withDatabaseOption(
      describedCommand('watch', {
        description:
          'Show how a job goes on until it ends, whichever process works at it; also when that process has died. Ctrl-C ends the watching only.',
        examples: [
          ['milliard jobs watch 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', 'a bar on a terminal, lines in a pipe'],
          ['milliard jobs watch 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60 --json | jq .percent', 'for a script'],
        ],
        exitCodes: [
          [0, 'the job is done'],
          [1, 'the job failed, or there is none of this id'],
          [4, 'the job was paused'],
          [5, 'the job was cancelled'],
        ],
      }).argument('<run-id>', 'see `milliard jobs list`'),
    ),
    context,
    (run, options, [text = '']) => {
      const runId = readRunId(text);
      return withJobs(run, { ...options, purpose: 'jobs watch' }, async (jobs) => {
        const { kind } = await jobs.get(runId);
        return watchJob(run, jobs, { runId, ...endingOfKind(run, kind), ...endingFor(options) });
      });
    },
  );
