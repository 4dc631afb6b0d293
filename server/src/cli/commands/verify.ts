import type { Command } from 'commander';
import { createOrderVerifier, type Difference, type VerifyCounts } from '../../domains/orders/order-verify-service.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';

/** `milliard verify orders` */
export const verifyCommand = (context: CliContext): Command =>
  describedCommand('verify', {
    description: 'Prove that what is kept twice agrees.',
    examples: [['milliard verify orders', 'every order against its history']],
  }).addCommand(ordersCommand(context));

const ordersCommand = (context: CliContext): Command =>
  does<{ repair?: boolean }>(
    describedCommand('orders', {
      description:
        'Recompute the status of every order from its history and compare it with the copy the order carries; look for orders without history, histories without order and keys without order. May run while a server writes.',
      examples: [
        ['milliard verify orders', 'look only'],
        ['milliard verify orders --repair', 'make differing copies anew from the histories'],
      ],
      exitCodes: [
        [0, 'no difference, or --repair mended all of them'],
        [1, 'differences remain, or it failed'],
      ],
    }).option('--repair', 'make differing copies anew from the histories'),
    context,
    async (run, { repair = false }) => {
      const counts = await withApp(run, 'verify orders', (app) => verify(run, createOrderVerifier(app.db), repair));
      run.output.say(sentence(counts, repair));
      await run.output.record(counts);
      return counts.differences > counts.mended ? exitCodes.failed : exitCodes.done;
    },
  );

// A person reads the first ones; `--json` has them all.
const shownDifferences = 20;

async function verify(
  { output, signal }: Run,
  verifier: ReturnType<typeof createOrderVerifier>,
  repair: boolean,
): Promise<VerifyCounts> {
  const progress = output.progress({ title: 'verifying' });
  let shown = 0;
  const onDifference = (difference: Difference): void => {
    if (output.json)
      void output.record({ kind: difference.kind, order_id: difference.orderId, mended: difference.mended });
    else if (shown++ < shownDifferences)
      output.say(`${difference.kind} ${difference.orderId}${difference.mended ? ' (mended)' : ''}`);
  };
  try {
    return await verifier.verifyOrders({
      repair,
      signal,
      onDifference,
      onProgress: ({ orders, keys }) =>
        progress.update(orders, null, `${orders.toLocaleString('en')} orders, ${keys.toLocaleString('en')} keys`),
    });
  } finally {
    progress.stop();
  }
}

function sentence({ orders, statuses, keys, differences, mended }: VerifyCounts, repair: boolean): string {
  const read = `${orders.toLocaleString('en')} orders, ${statuses.toLocaleString('en')} rows of history, ${keys.toLocaleString('en')} keys`;
  if (differences === 0) return `${read}: 0 differences.`;
  return `${read}: ${differences} differences${repair ? `, ${mended} mended` : '; --repair mends copies'}.`;
}
