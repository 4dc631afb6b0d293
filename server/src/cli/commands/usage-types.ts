import type { Command } from 'commander';
import { fieldErrorsOf } from '../../core/validation.ts';
import { newUsageType } from '../../domains/usage/usage-type-submission.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';

interface Options {
  readonly add?: string;
  readonly unit?: string;
}

/** `milliard usage types` */
export const usageTypesCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('types', {
      description: 'The usage types and their units; with --add one more. The unit of a type never changes.',
      examples: [
        ['milliard usage types', 'what there is'],
        ['milliard usage types --add sms --unit messages', 'one more'],
      ],
    })
      .option('--add <type>', 'register this type; needs --unit')
      .option('--unit <unit>', 'what its `used` counts'),
    context,
    async (run, options) => {
      const added = readType(options);
      const types = await withApp(run, 'usage types', async ({ usage }) => {
        if (added !== null) await usage.addType(added);
        return usage.types();
      });
      for (const { usageType, unit } of types) await run.output.record({ usage_type: usageType, unit });
      if (!run.output.json)
        run.output.table(
          ['TYPE', 'UNIT'],
          types.map(({ usageType, unit }) => [usageType, unit]),
        );
      return undefined;
    },
  );

/** @throws UsageError */
function readType({ add, unit }: Options) {
  if (add === undefined && unit === undefined) return null;
  if (add === undefined || unit === undefined) throw new UsageError('--add and --unit: give both, or neither.');
  const parsed = newUsageType.safeParse({ usage_type: add, unit });
  if (parsed.success) return { usageType: parsed.data.usage_type, unit: parsed.data.unit };
  const [fault] = fieldErrorsOf(parsed.error);
  throw new UsageError(`${fault?.pointer === '/unit' ? '--unit' : '--add'} ${fault?.detail}.`);
}
