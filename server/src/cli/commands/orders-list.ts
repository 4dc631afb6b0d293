import type { Command } from 'commander';
import { formatMajorUnits } from '../../core/money.ts';
import { formatInstant } from '../../core/time.ts';
import type { Order } from '../../domains/orders/order.ts';
import { toOrderDocument } from '../../http/order-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { type FilterOptions, readFilter, withFilter } from '../order-filter.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface ListOptions extends FilterOptions {
  readonly limit: string;
  readonly after?: string;
  readonly before?: string;
}

/** `milliard orders list` */
export const listCommand = (context: CliContext): Command =>
  does<ListOptions>(
    withFilter(
      describedCommand('list', {
        description: 'A page of orders.',
        examples: [
          ['milliard orders list --status cancelled --limit 10', 'the newest cancelled orders'],
          ['milliard orders list --customer 17850 --from 2026-01-01 --oldest', "a customer's orders of this year"],
          ['milliard orders list --json | jq -r .order_id', 'the API documents, one a line'],
        ],
      }),
    )
      .option('--limit <rows>', 'at most so many, 1 to 500', '20')
      .option('--after <order-id>', 'go on behind this order')
      .option('--before <order-id>', 'go back: the page in front of this order'),
    context,
    async (run, options) => {
      const { filter, direction } = readFilter(options);
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const after = options.after === undefined ? null : values.orderId(options.after);
      const before = options.before === undefined ? null : values.orderId(options.before);
      if (after !== null && before !== null) throw new UsageError('--after and --before: give one of them.');
      const page = await withApp(run, 'orders list', (app) =>
        app.orders.listOrders({ filter, direction, limit, after, before }),
      );
      for (const order of page.items) await run.output.record(toOrderDocument(order));
      if (run.output.json) return undefined;
      if (page.items.length === 0) run.output.say('There is no such order.');
      else run.output.table(['ORDER', 'NUMBER', 'CUSTOMER', 'PLACED', 'STATUS', 'TOTAL'], page.items.map(toRow));
      if (page.next !== null) run.output.note(`More: --after ${page.next}`);
      if (page.prev !== null) run.output.note(`Back: --before ${page.prev}`);
      return undefined;
    },
  );

const toRow = (order: Order) => [
  order.orderId,
  order.orderNumber ?? '',
  order.customerId,
  formatInstant(order.placedAt),
  order.reason === null ? order.status : `${order.status} (${order.reason})`,
  `${formatMajorUnits(BigInt(order.total), order.currency)} ${order.currency}`,
];
