import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { formatDay } from '../../core/days.ts';
import { formatInstant } from '../../core/time.ts';
import { fieldErrorsOf, storableText } from '../../core/validation.ts';
import {
  changeOf,
  correctionSubmission,
  type RecordChange,
  type RecordIdentity,
} from '../../domains/usage/usage-correction.ts';
import type { CorrectionOutcome } from '../../domains/usage/usage-correction-service.ts';
import { toCorrectedRecord } from '../../http/usage-correction-representation.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { readDay } from '../usage-options.ts';
import { values } from '../values.ts';

interface RecordOptions {
  readonly day?: string;
  readonly revision?: string;
  readonly reason?: string;
}

interface Options extends RecordOptions {
  readonly toSubscription?: string;
  readonly type?: string;
  readonly at?: string;
  readonly used?: string;
  readonly price?: string;
  readonly restore?: boolean;
}

const mostRevisions = 2 ** 31 - 1;

const withRecord = (command: Command): Command =>
  command
    .argument('<subscription>', 'that the record was sent with')
    .argument('<record>', 'its record_id')
    .requiredOption('--day <day>', 'the UTC day it was sent for')
    .option(
      '--revision <number>',
      'one more than the present one, so that a retry is recognised (the next one without)',
    )
    .option('--reason <text>', 'why, for whoever asks later');

/** `milliard usage correct` */
export const usageCorrectCommand = (context: CliContext): Command =>
  does<Options>(
    withRecord(
      describedCommand('correct', {
        description:
          'Correct a raw record, or move it to another day, type or subscription. It is stored as a difference to the sums; the record as it was sent stays readable.',
        examples: [
          ['milliard usage correct SUB789 r-1001 --day 2026-06-30 --price 0.20', 'another price'],
          ['milliard usage correct SUB789 r-1001 --day 2026-06-30 --to-subscription SUB790', 'it was somebody else'],
        ],
        exitCodes: [[1, 'there is no such record, its day was dropped, or the correction was refused']],
      }),
    )
      .option('--to-subscription <id>', 'move it to this subscription')
      .option('--type <type>', 'another usage type')
      .option('--at <time>', 'another used_at')
      .option('--used <amount>', 'another amount')
      .option('--price <price>', 'another price, such as 0.25')
      .option('--restore', 'bring it back after it was deleted'),
    context,
    (run, options, names) => correct(run, { options, names, change: readChange(options) }),
  );

/** `milliard usage delete` */
export const usageDeleteCommand = (context: CliContext): Command =>
  does<RecordOptions>(
    withRecord(
      describedCommand('delete', {
        description: 'Delete a raw record: it counts in no sum any more. `usage correct --restore` brings it back.',
        examples: [['milliard usage delete SUB789 r-1001 --day 2026-06-30 --reason "counted twice"', 'it never was']],
        exitCodes: [[1, 'there is no such record, its day was dropped, or it is deleted already']],
      }),
    ),
    context,
    (run, options, names) => correct(run, { options, names, change: { deleted: true } }),
  );

interface Asked {
  readonly options: RecordOptions;
  readonly names: readonly string[];
  readonly change: RecordChange;
}

async function correct(run: Run, { options, names, change }: Asked): Promise<undefined> {
  const identity = readIdentity(names, options);
  const given =
    options.revision === undefined ? null : values.integer('--revision', options.revision, [1, mostRevisions]);
  const reason = options.reason === undefined ? null : readText('--reason', options.reason, 500);
  const outcome = await withApp(run, 'usage corrections', async ({ usage }: App) => {
    const revision = given ?? (await usage.getRecord(identity)).revision + 1;
    return usage.correct({ identity, revision, change, reason, actor: cliActor() });
  });
  await run.output.record(toCorrectedRecord(outcome));
  if (!run.output.json) run.output.say(sentenceOf(outcome));
  return undefined;
}

function sentenceOf({ identity, revision, state, replayed }: CorrectionOutcome): string {
  const name = `Record ${identity.recordId} of ${identity.subscriptionId} on ${formatDay(identity.day)}`;
  const said = replayed ? `had revision ${revision} already` : `has revision ${revision} now`;
  if (state.deleted) return `${name} ${said}: it is deleted.`;
  return `${name} ${said}: ${state.used} of ${state.usageType} for ${state.price}, used by ${state.subscriptionId} at ${formatInstant(state.usedAt)}.`;
}

function readIdentity(
  [subscription = '', record = '']: readonly string[],
  { day = '' }: RecordOptions,
): RecordIdentity {
  return {
    subscriptionId: readText('<subscription>', subscription, 200),
    recordId: readText('<record>', record, 200),
    day: readDay('--day', day),
  };
}

/** @throws UsageError */
function readText(flag: string, text: string, max: number): string {
  if (storableText(max).safeParse(text).success) return text;
  throw new UsageError(`${flag} must have 1 to ${max} characters.`);
}

/** @throws UsageError */
function readChange(options: Options): RecordChange {
  const parsed = correctionSubmission.safeParse({
    revision: 1,
    subscription_id: options.toSubscription,
    usage_type: options.type,
    used_at: options.at === undefined ? undefined : formatInstant(values.instant('--at', options.at)),
    used: options.used,
    price: options.price,
    deleted: options.restore === true ? false : undefined,
  });
  if (parsed.success) return changeOf(parsed.data);
  const flags: Readonly<Record<string, string>> = { '/subscription_id': '--to-subscription', '/usage_type': '--type' };
  const faults = fieldErrorsOf(parsed.error).map(({ pointer, detail }) =>
    pointer === ''
      ? 'give what to change: --price, --used, --type, --at, --to-subscription or --restore'
      : `${flags[pointer] ?? `--${pointer.slice(1)}`} ${detail}`,
  );
  throw new UsageError(`${faults.join('; ')}.`);
}
