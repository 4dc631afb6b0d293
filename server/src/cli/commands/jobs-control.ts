import type { Command } from 'commander';
import { toJobDocument } from '../../http/job-representation.ts';
import type { JobRun } from '../../jobs/job.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext, Run } from '../context.ts';
import { type DatabaseOption, endingFor, withDatabaseOption, withJobs } from '../job-database.ts';
import { endingOfKind } from '../job-endings.ts';
import { jobExits, readRunId } from '../job-options.ts';
import { continueJob, detachJob, resumeLineOf } from '../run-job.ts';
import { UsageError } from '../stopped.ts';

const id = '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60';

/** `milliard jobs pause` */
export const pauseCommand = (context: CliContext): Command =>
  does<DatabaseOption>(
    withDatabaseOption(
      describedCommand('pause', {
        description: 'Let a job stand behind the batch under way, whichever process works at it.',
        examples: [[`milliard jobs pause ${id}`, '`milliard jobs resume` goes on']],
        exitCodes: [[1, 'it cannot be paused as it stands, or there is none of this id']],
      }).argument('<run-id>', 'see `milliard jobs list`'),
    ),
    context,
    async (run, options, [text = '']) => {
      const runId = readRunId(text);
      const now = await withJobs(run, { ...options, purpose: 'jobs pause' }, (jobs) => jobs.pause(runId, cliActor()));
      return tell(run, now, `Go on: ${resumeLineOf(run, now, endingFor(options))}`);
    },
  );

/** `milliard jobs cancel` */
export const cancelCommand = (context: CliContext): Command =>
  does<DatabaseOption>(
    withDatabaseOption(
      describedCommand('cancel', {
        description:
          'End a job for good. What it has done stays done; whoever works at it, or any server, takes away what it made for itself.',
        examples: [[`milliard jobs cancel ${id}`, 'starting the same again begins anew']],
        exitCodes: [[1, 'it has ended already, or there is none of this id']],
      }).argument('<run-id>', 'see `milliard jobs list`'),
    ),
    context,
    async (run, options, [text = '']) => {
      const runId = readRunId(text);
      const now = await withJobs(run, { ...options, purpose: 'jobs cancel' }, (jobs) => jobs.cancel(runId, cliActor()));
      return tell(run, now, `See it end: milliard jobs watch ${runId}`);
    },
  );

async function tell({ output }: Run, now: JobRun, hint: string): Promise<undefined> {
  output.say(`${now.state}: ${now.runId} (${now.kind})`);
  if (now.state !== 'cancelled') output.note(hint);
  await output.record(toJobDocument(now));
}

const onlyOwnDatabase =
  '--detach: servers work at jobs of their own database only. Leave it out, and the job runs here.';

/** `milliard jobs resume` */
export const resumeCommand = (context: CliContext): Command =>
  does<DatabaseOption & { detach?: boolean }>(
    withDatabaseOption(
      describedCommand('resume', {
        description:
          'Go on with a job that was paused, failed, or lost its process. It runs here, unless --detach; while a living process works at it, its progress is shown.',
        examples: [
          [`milliard jobs resume ${id}`, 'where it stopped'],
          [`milliard jobs resume ${id} --detach`, 'by a server'],
        ],
        exitCodes: jobExits,
      })
        .argument('<run-id>', 'see `milliard jobs list`')
        .option('--detach', 'queue it for the servers and come back at once'),
    ),
    context,
    (run, options, [text = '']) => {
      const runId = readRunId(text);
      if (options.detach === true && options.databaseUrl !== undefined) throw new UsageError(onlyOwnDatabase);
      return withJobs(run, { ...options, purpose: 'jobs resume' }, async (jobs) => {
        const found = await jobs.get(runId);
        return options.detach === true
          ? detachJob(run, jobs, found)
          : continueJob(run, jobs, { found, ...endingOfKind(run, found.kind), ...endingFor(options) });
      });
    },
  );
