import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { formatInstant } from '../../core/time.ts';
import { fieldErrorsOf } from '../../core/validation.ts';
import {
  type RotationParameters,
  rotateKind,
  rotationKey,
  rotationParameters,
} from '../../domains/tickets/ticket-rotation.ts';
import { countTicketsInScope } from '../../domains/tickets/ticket-rotation-service.ts';
import type { JobRun } from '../../jobs/job.ts';
import { describedCommand, does } from '../command.ts';
import { confirm, requireConfirmable } from '../confirm.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { countText } from '../job-texts.ts';
import { announceCutOff, proofLines, scopeText } from '../rotation-texts.ts';
import { runJob } from '../run-job.ts';
import { Ended, UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options extends JobOptions {
  readonly reason: string;
  readonly grace: string;
  readonly event?: string;
  readonly keepDays: string;
  readonly yes?: boolean;
}

/** `milliard tickets rotate` */
export const rotateCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('rotate', {
        description:
          'Refuse every ticket token there is, from this moment on, and issue new ones: what to do when tokens have leaked.\nTyped again while it is unfinished, it goes on with the same run.',
        examples: [
          [
            'milliard tickets rotate --reason "backup stolen"',
            'all tickets: every token is refused before the first new one is issued',
          ],
          ['milliard tickets rotate --reason "list leaked" --event E42 --yes', 'tickets of one event, without asking'],
          ['milliard tickets rotate --reason yearly --grace 24h', 'planned: old and new tokens are accepted for a day'],
          ['milliard tickets rotate --reason trying --dry-run', 'what it would take; nothing is changed'],
        ],
        exitCodes: jobExits,
      })
        .alias('regenerate-tokens')
        .requiredOption('--reason <text>', 'why: stands in the audit log')
        .option('--grace <time>', 'accept the old tokens for so long still, e.g. 24h; 0 after a leak', '0')
        .option('--event <event>', 'only tickets of this event (all)')
        .option('--keep-days <days>', 'old tokens answer token_rotated for so long, then they are deleted', '7')
        .option('--yes', 'do not ask'),
    ),
    context,
    rotate,
  );

async function rotate(run: Run, options: Options): Promise<number> {
  const parameters = readParameters(options);
  const jobOptions = readJobOptions(options);
  const mayAsk = options.yes !== true && !jobOptions.dryRun;
  if (mayAsk) requireConfirmable(run, 'every old token would be refused');
  return withApp(run, 'tickets rotate', async (app) => {
    if (jobOptions.dryRun) return runJob(run, app.jobs, { kind: rotateKind, parameters, ...jobOptions });
    const unfinished = await findUnfinished(app, parameters);
    if (unfinished !== null) sayUnfinished(run, unfinished);
    else if (mayAsk && !(await confirm(run, await question(app, parameters)))) {
      run.output.note('Nothing was changed.');
      throw new Ended(1);
    }
    return rotateHere(run, app, { parameters, jobOptions });
  });
}

interface Rotation {
  readonly parameters: RotationParameters;
  readonly jobOptions: ReturnType<typeof readJobOptions>;
}

async function rotateHere(run: Run, app: App, { parameters, jobOptions }: Rotation): Promise<number> {
  const { event } = parameters;
  const detached = jobOptions.detach === true;
  const over = new AbortController();
  let announced: Promise<void> | null = null;
  try {
    return await runJob(run, app.jobs, {
      kind: rotateKind,
      parameters,
      ...jobOptions,
      onStarted(started) {
        announced = announceCutOff(run, app, { run: started, event, detached, signal: over.signal });
      },
      resumeLine: () => 'the same command again',
      onDone(done) {
        for (const line of proofLines(done)) run.output.say(line);
      },
    });
  } finally {
    if (!detached) over.abort();
    await announced;
  }
}

function readParameters(options: Options): RotationParameters {
  const parsed = rotationParameters.safeParse({
    reason: options.reason,
    event: options.event ?? null,
    grace_seconds:
      options.grace === '0' ? 0 : Math.ceil(values.durationMs('--grace', options.grace, 30 * 86_400_000) / 1_000),
    keep_days: values.integer('--keep-days', options.keepDays, [0, 3_650]),
  });
  if (parsed.success) return parsed.data;
  throw new UsageError(
    fieldErrorsOf(parsed.error)
      .map(({ pointer, detail }) => `--${pointer.slice(1)} ${detail}`)
      .join('; '),
  );
}

async function findUnfinished({ jobs }: App, parameters: RotationParameters): Promise<JobRun | null> {
  const states = ['queued', 'running', 'paused', 'failed'] as const;
  const runs = await jobs.list({ states, kind: rotateKind, limit: 100, after: null });
  const key = rotationKey(parameters);
  return runs.find((one) => keyOf(one) === key) ?? null;
}

const keyOf = (one: JobRun): string | null => {
  const parsed = rotationParameters.safeParse(one.parameters);
  return parsed.success ? rotationKey(parsed.data) : null;
};

function sayUnfinished({ output }: Run, found: JobRun): void {
  output.warn(
    `A rotation of these tickets was begun at ${formatInstant(found.createdAt)} by ${found.actor} and is unfinished: this goes on with it. ` +
      `Tokens that it has issued are NOT refused; if these leaked too, cancel it (milliard jobs cancel ${found.runId}) and rotate again.`,
  );
}

async function question({ db }: App, parameters: RotationParameters): Promise<string> {
  const { rows, exact } = await countTicketsInScope(db, parameters.event);
  const when =
    parameters.grace_seconds === 0 ? 'at once' : `in ${Math.round(parameters.grace_seconds / 360) / 10} hours`;
  return `Every token of ${exact ? '' : 'about '}${countText(rows)} tickets (${scopeText(parameters.event)}) will be refused ${when}, and new ones issued.\nThis cannot be taken back. Type yes to go on: `;
}
