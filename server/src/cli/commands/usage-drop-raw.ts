import type { Command } from 'commander';
import { type Day, dayOf, formatDay } from '../../core/days.ts';
import { dayMs, systemClock } from '../../core/time.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface Options {
  readonly olderThan: string;
}

/** `milliard usage drop-raw` */
export const usageDropRawCommand = (context: CliContext): Command =>
  does<Options>(
    describedCommand('drop-raw', {
      description:
        'Drop the raw rows of old days; their sums stay for ever. The days are closed first: usage of them is refused from then on, whatever becomes of the rest. Each day is compared with its sums before it is dropped, and the check is kept. Ended at any moment, by kill -9 too, it is finished by the next one. Servers do the same every hour where MILLIARD_USAGE_KEEP_RAW_DAYS is set.',
      examples: [
        ['milliard usage drop-raw --older-than 7d', 'today and the 7 days before it stay'],
        ['milliard usage drop-raw --older-than 7d --json', 'a document a day, then the counts'],
      ],
      exitCodes: [
        [1, 'it went no further, and says why: a sum that differs, batches that are not rolled up, a table in use'],
      ],
    }).requiredOption('--older-than <time>', 'in whole days: 7d keeps today and the 7 UTC days before it'),
    context,
    dropRaw,
  );

async function dropRaw(run: Run, { olderThan }: Options): Promise<number> {
  const { output } = run;
  const ms = values.durationMs('--older-than', olderThan, 100_000 * dayMs);
  if (ms % dayMs !== 0) throw new UsageError(`--older-than is "${olderThan}": give whole days, e.g. 7d.`);
  const before = (dayOf(systemClock.now()) - ms / dayMs) as Day;
  const { dropped, refused, forgottenBatches } = await withApp(run, 'usage drop-raw', ({ usage }) =>
    usage.dropRaw({
      before,
      actor: cliActor(),
      onDropped({ day, rawRows }) {
        void output.record({ day: formatDay(day), raw_rows: Number(rawRows) });
        output.say(
          `${formatDay(day)}: ${rawRows.toLocaleString('en')} raw rows agree with their sums and were dropped`,
        );
      },
    }),
  );
  await output.record({
    before: formatDay(before),
    dropped_days: dropped.length,
    forgotten_batches: forgottenBatches,
    refused: refused === null ? null : { reason: refused.reason, detail: refused.detail },
  });
  if (refused === null) {
    output.say(
      dropped.length === 0 ? `No day before ${formatDay(before)} has raw rows.` : `${dropped.length} days dropped.`,
    );
    return exitCodes.done;
  }
  output.warn(refused.detail);
  for (const { subscriptionId, usageType, price, storedPrice, records, storedRecords } of refused.differences.slice(
    0,
    10,
  )) {
    output.warn(
      `  ${subscriptionId} ${usageType}: ${storedRecords} records of ${storedPrice}; its rows say ${records} of ${price}`,
    );
  }
  return exitCodes.failed;
}
