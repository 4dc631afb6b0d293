import type { Command } from 'commander';
import { createOrderVerifyKind, type VerifyResult } from '../../domains/orders/order-verify-jobs.ts';
import type { Difference } from '../../domains/orders/order-verify-service.ts';
import type { JobRun } from '../../jobs/job.ts';
import { createJobs } from '../../jobs/jobs-service.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, stderrLogger, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJobForOutcome } from '../job-outcome.ts';

/** `milliard verify orders` */
export const verifyCommand = (context: CliContext): Command =>
  describedCommand('verify', {
    description: 'Prove that what is kept twice agrees.',
    examples: [['milliard verify orders', 'every order against its history']],
  }).addCommand(ordersCommand(context));

interface Options extends JobOptions {
  readonly repair?: boolean;
}

const ordersCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('orders', {
        description:
          'Recompute the status of every order from its history and compare it with the copy the order carries; look for orders without history, histories without order and keys without order. May run while a server writes. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          ['milliard verify orders', 'look only'],
          ['milliard verify orders --repair', 'make differing copies anew from the histories'],
        ],
        exitCodes: [
          [0, 'no difference, or --repair mended all of them'],
          [1, 'differences remain, or it failed'],
          ...jobExits,
        ],
      }).option('--repair', 'make differing copies anew from the histories'),
    ),
    context,
    verify,
  );

// A person reads the first ones; `--json` has them all.
const shownDifferences = 20;
// As many as are kept with a run.
const rememberedDifferences = 100;

async function verify(run: Run, options: Options): Promise<number> {
  const { output } = run;
  const { repair = false } = options;
  const told = new Set<string>();
  let shown = 0;
  const tell = ({ kind, orderId, mended }: Difference): void => {
    if (told.has(`${kind} ${orderId}`)) return;
    if (told.size < rememberedDifferences) told.add(`${kind} ${orderId}`);
    shown++;
    if (output.json) void output.record({ kind, order_id: orderId, mended });
    else if (shown <= shownDifferences) output.say(`${kind} ${orderId}${mended ? ' (mended)' : ''}`);
  };
  const { exitCode, done } = await withApp(run, 'verify orders', ({ db }) => {
    const jobs = createJobs({
      db,
      kinds: [createOrderVerifyKind({ onDifference: tell })],
      logger: stderrLogger(output),
    });
    return runJobForOutcome(run, jobs, {
      kind: 'orders.verify',
      parameters: { repair },
      ...readJobOptions(options),
      resumeLine: () => 'the same command again',
      summary: (verified) => sentence(countsOf(verified), repair),
      onDone() {},
    });
  });
  if (done === null) return exitCode;
  // Those that were found before this process went on with the run.
  const { first_differences } = done.result as unknown as VerifyResult;
  for (const { kind, order_id, mended } of first_differences) tell({ kind, orderId: order_id, mended });
  const counts = countsOf(done);
  await output.record(counts);
  return counts.differences > counts.mended ? exitCodes.failed : exitCodes.done;
}

type Counts = ReturnType<typeof countsOf>;

function countsOf({ counts }: JobRun) {
  const { orders = 0, statuses = 0, keys = 0, differences = 0, mended = 0 } = counts;
  return { orders, statuses, keys, differences, mended };
}

function sentence({ orders, statuses, keys, differences, mended }: Counts, repair: boolean): string {
  const read = `${orders.toLocaleString('en')} orders, ${statuses.toLocaleString('en')} rows of history, ${keys.toLocaleString('en')} keys`;
  if (differences === 0) return `${read}: 0 differences.`;
  return `${read}: ${differences} differences${repair ? `, ${mended} mended` : '; --repair mends copies'}.`;
}
