import type { Command } from 'commander';
import { fieldErrorsOf } from '../../core/validation.ts';
import { type Adjustment, adjustmentSubmission } from '../../domains/usage/usage-adjustment.ts';
import { toAdjustmentDocument } from '../../http/usage-correction-representation.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';

interface Options {
  readonly day: string;
  readonly type: string;
  readonly id: string;
  readonly used: string;
  readonly price: string;
  readonly reason: string;
}

/** `milliard usage adjust` */
export const usageAdjustCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('adjust', {
      description:
        'Add a difference to the sums of a day whose raw records are gone. While they are kept, `usage correct` and `usage delete` are the way. The same --id again changes nothing.',
      examples: [
        [
          'milliard usage adjust SUB789 --type data --day 2026-02-28 --id a-77 --used -1024 --price -0.25 --reason "counted twice"',
          'takes away what was counted twice',
        ],
      ],
      exitCodes: [[1, 'the adjustment was refused: raw records are kept, or there is less than it takes away']],
    })
      .argument('<subscription>', 'whose sums')
      .requiredOption('--type <type>', 'the usage type')
      .requiredOption('--day <day>', 'the UTC day')
      .requiredOption('--id <adjustment_id>', 'its name, unique per subscription')
      .option('--used <difference>', 'in the unit of the type, with a minus sign to take away', '0')
      .option('--price <difference>', 'such as -0.25', '0')
      .requiredOption('--reason <text>', 'why'),
    context,
    async (run, options, [subscription = '']) => {
      const adjustment = readAdjustment(subscription, options);
      const outcome = await withApp(run, 'usage adjustments', ({ usage }) => usage.adjust(adjustment, cliActor()));
      const document = toAdjustmentDocument(outcome);
      await run.output.record(document);
      if (!run.output.json) {
        const said = outcome.replayed ? 'was made already' : 'is made';
        run.output.say(
          `Adjustment ${document.adjustment_id} ${said}: ${document.used_delta} of ${document.usage_type} and ${document.price_delta} for ${document.subscription_id} on ${document.day}.`,
        );
      }
      return undefined;
    },
  );

const flags: Readonly<Record<string, string>> = {
  '/subscription_id': '<subscription>',
  '/usage_type': '--type',
  '/adjustment_id': '--id',
  '/used_delta': '--used',
  '/price_delta': '--price',
};

/** @throws UsageError */
function readAdjustment(subscription: string, { day, type, id, used, price, reason }: Options): Adjustment {
  const parsed = adjustmentSubmission.safeParse({
    subscription_id: subscription,
    usage_type: type,
    day,
    adjustment_id: id,
    used_delta: used,
    price_delta: price,
    reason,
  });
  if (parsed.success) return parsed.data;
  const faults = fieldErrorsOf(parsed.error).map(({ pointer, detail }) =>
    pointer === ''
      ? 'give --used, --price or both: together they change nothing'
      : `${flags[pointer] ?? `--${pointer.slice(1)}`} ${detail}`,
  );
  throw new UsageError(`${faults.join('; ')}.`);
}
