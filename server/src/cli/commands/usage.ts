import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { usageAdjustCommand } from './usage-adjust.ts';
import { usageCorrectCommand, usageDeleteCommand } from './usage-correct.ts';
import { usageDirectWritesCommand } from './usage-direct-writes.ts';
import { usageDropRawCommand } from './usage-drop-raw.ts';
import { usageGenerateCommand } from './usage-generate.ts';
import { usageImportCommand } from './usage-import.ts';
import { usageMetricsCommand } from './usage-metrics.ts';
import { usageOverLimitCommand } from './usage-over-limit.ts';
import { usagePopulateCommand } from './usage-populate.ts';
import { usageRebuildCommand } from './usage-rebuild.ts';
import { usageRollupCommand } from './usage-rollup.ts';
import { usageStatusCommand } from './usage-status.ts';
import { usageSubscriptionsCommand } from './usage-subscriptions.ts';
import { usageTypesCommand } from './usage-types.ts';

/** Every command under `milliard usage`, in the order of the help. A new one is registered here and nowhere else. */
const commands: readonly ((context: CliContext) => Command)[] = [
  usageOverLimitCommand,
  usageMetricsCommand,
  usageStatusCommand,
  usageSubscriptionsCommand,
  usageTypesCommand,
  usageImportCommand,
  usageGenerateCommand,
  usagePopulateCommand,
  usageCorrectCommand,
  usageDeleteCommand,
  usageAdjustCommand,
  usageRollupCommand,
  usageRebuildCommand,
  usageDropRawCommand,
  usageDirectWritesCommand,
];

/** `milliard usage over-limit|metrics|status|import|drop-raw|…` */
export function usageCommand(context: CliContext): Command {
  const group = describedCommand('usage', {
    description: 'Metered usage: exact sums by subscription, type and day, and who has reached a limit.',
    examples: [
      ['milliard usage metrics --subscription SUB789 --by-day', 'what one subscription used in the past 30 days'],
      ['milliard usage over-limit 12.34', 'who has used for 12.34 or more'],
      ['milliard usage status', 'how far the sums are behind'],
    ],
  });
  for (const command of commands) group.addCommand(command(context));
  return group;
}
