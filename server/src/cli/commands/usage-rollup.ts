import type { Command } from 'commander';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';

interface Options {
  readonly once?: boolean;
}

/** `milliard usage rollup --once` */
export const usageRollupCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('rollup', {
      description:
        'Add everything that was taken in so far to the sums. Servers do this all the time; this is for databases that no server works at just now.',
      examples: [['milliard usage rollup --once', 'until nothing that is there now is left out of the sums']],
    }).option('--once', 'do it once and end; without it the command does nothing'),
    context,
    async (run, { once = false }) => {
      if (!once) throw new UsageError('Say --once: going on and on is what servers do (milliard serve, milliard dev).');
      const { batches, rows, durationMs } = await withApp(run, 'usage rollup', ({ usage }) => usage.rollup.once());
      await run.output.record({ batches, rows, duration_ms: Math.round(durationMs) });
      run.output.say(
        batches === 0
          ? 'Nothing waited: the sums have everything.'
          : `${batches.toLocaleString('en')} batches, ${rows.toLocaleString('en')} rows added to the sums.`,
      );
      return undefined;
    },
  );
