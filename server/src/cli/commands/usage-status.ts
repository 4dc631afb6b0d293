import type { Command } from 'commander';
import { toStatusDocument } from '../../http/usage-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';

/** `milliard usage status` */
export const usageStatusCommand = (context: CliContext): Command =>
  does(
    describedCommand('status', {
      description:
        'How far the sums are behind, from which day on raw usage is taken, and which days have raw records.',
      examples: [
        ['milliard usage status', 'a look'],
        ['milliard usage status --json | jq .lag_seconds', 'for an alarm'],
      ],
    }),
    context,
    async (run) => {
      const status = toStatusDocument(await withApp(run, 'usage status', ({ usage }) => usage.usageStatus()));
      await run.output.record(status);
      if (run.output.json) return undefined;
      const { horizon, raw_days: days } = status;
      const waiting = `${status.open_batches} batches, ${status.open_rows} rows`;
      run.output.table(
        ['USAGE', ''],
        [
          ['sums as of', status.as_of],
          ['not rolled up', status.open_batches === 0 ? 'nothing' : `${waiting}, since ${status.oldest_open_at}`],
          ['raw usage taken from', horizon.raw_from],
          ['raw days dropped before', horizon.dropped_before ?? 'none dropped'],
          ['days with raw records', days.length === 0 ? 'none' : `${days.length}: ${days[0]} to ${days.at(-1)}`],
        ],
      );
      return undefined;
    },
  );
