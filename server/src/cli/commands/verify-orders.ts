import type { Command } from 'commander';
import { createOrderVerifyKind, type VerifyResult } from '../../domains/orders/order-verify-jobs.ts';
import type { Difference } from '../../domains/orders/order-verify-service.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { withJobOptions } from '../job-options.ts';
import { runVerify, type ToldDifference, type Verification, type VerifyOptions, verifyExits } from '../verify-run.ts';

/** `milliard verify orders` */
export const verifyOrdersCommand = (context: CliContext): Command =>
  does<VerifyOptions>(
    withJobOptions(
      describedCommand('orders', {
        description:
          'Recompute the status of every order from its history and compare it with the copy the order carries; look for orders without history, histories without order and keys without order. May run while a server writes. A job: the same command goes on with one that was stopped or killed.',
        examples: [
          ['milliard verify orders', 'look only'],
          ['milliard verify orders --repair', 'make differing copies anew from the histories'],
        ],
        exitCodes: verifyExits,
      }).option('--repair', 'make differing copies anew from the histories'),
    ),
    context,
    (run, options) => runVerify(run, orders, options),
  );

const told = ({ kind, orderId, mended }: Difference): ToldDifference => ({
  document: { kind, order_id: orderId, mended },
  line: `${kind} ${orderId}${mended ? ' (mended)' : ''}`,
});

const orders: Verification = {
  name: 'verify orders',
  kindOf: (tell) => createOrderVerifyKind({ onDifference: (difference) => tell(told(difference)) }),
  countsOf({ counts }) {
    const { orders = 0, statuses = 0, keys = 0, differences = 0, mended = 0 } = counts;
    return { orders, statuses, keys, differences, mended };
  },
  lookedAt: ({ orders = 0, statuses = 0, keys = 0 }) =>
    `${orders.toLocaleString('en')} orders, ${statuses.toLocaleString('en')} rows of history, ${keys.toLocaleString('en')} keys`,
  keptIn: (result) =>
    (result as unknown as VerifyResult).first_differences.map(({ kind, order_id, mended }) =>
      told({ kind, orderId: order_id, mended }),
    ),
};
