import type { Command } from 'commander';
import { formatMajorUnits } from '../../core/money.ts';
import { formatInstant } from '../../core/time.ts';
import { itemsOf, type Order } from '../../domains/orders/order.ts';
import type { StatusRow } from '../../domains/orders/order-status.ts';
import { toHistoryRow, toOrderDocument } from '../../http/order-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, type Run, withApp } from '../context.ts';
import { values } from '../values.ts';

/** `milliard orders get` */
export const getCommand = (context: CliContext): Command =>
  does(
    describedCommand('get', {
      description: 'One order with its items and its whole history.',
      examples: [
        ['milliard orders get 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60', 'the ids stand in `milliard orders list`'],
      ],
      exitCodes: [[1, 'there is no such order']],
    }).argument('<order-id>', 'a version 7 UUID'),
    context,
    async (run, _options, [text = '']) => {
      const id = values.orderId(text);
      const [order, history] = await withApp(run, 'orders get', (app) =>
        Promise.all([app.orders.getOrder(id), app.orders.getHistory(id)]),
      );
      if (!run.output.json) show(run, order, history);
      await run.output.record({ ...toOrderDocument(order), history: history.map(toHistoryRow) });
      return undefined;
    },
  );

function show({ output }: Run, order: Order, history: readonly StatusRow[]): void {
  const money = (minor: number) => `${formatMajorUnits(BigInt(minor), order.currency)} ${order.currency}`;
  output.say(`order     ${order.orderId}`);
  output.say(`number    ${order.orderNumber ?? '(none)'}`);
  output.say(`customer  ${order.customerId}`);
  output.say(`placed    ${formatInstant(order.placedAt)}`);
  output.say(
    `status    ${order.status}${order.reason === null ? '' : ` (${order.reason})`} since ${formatInstant(order.statusAt)}`,
  );
  output.say(`total     ${money(order.total)}\n`);
  output.table(
    ['SKU', 'NAME', 'QUANTITY', 'PRICE'],
    itemsOf(order).map(({ sku, name, quantity, unit_price }) => [sku, name ?? '', quantity, money(unit_price)]),
  );
  output.say('');
  output.table(
    ['#', 'STATUS', 'OCCURRED', 'RECORDED', 'REASON', 'BY'],
    history.map((row) => [
      row.seq,
      row.status,
      formatInstant(row.occurredAt),
      formatInstant(row.recordedAt),
      row.reason ?? '',
      row.actor,
    ]),
  );
}
