import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import type { Shipment } from '../../domains/shipments/shipment.ts';
import { type Attention, attentionOf } from '../../domains/shipments/shipment-attention.ts';
import { formatPosition } from '../../domains/shipments/shipment-list.ts';
import { listedShipmentJson } from '../../http/shipment-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import {
  positionAfter,
  readShipmentFilter,
  type ShipmentFilterOptions,
  withShipmentFilter,
} from '../shipment-options.ts';
import { values } from '../values.ts';

interface Options extends ShipmentFilterOptions {
  readonly limit: string;
  readonly after?: string;
}

/** `milliard shipments list` */
export const listShipmentsCommand = (context: CliContext): Command =>
  does<Options>(
    withShipmentFilter(
      describedCommand('list', {
        description: 'A page of shipments, without their articles and events.',
        examples: [
          ['milliard shipments list --status exception --carrier DHL', 'the newest exceptions of a carrier'],
          ['milliard shipments list --needs-attention --silent-days 3', 'the longest waiting first, with the reasons'],
          ['milliard shipments list --number TN12345678', 'whichever carriers have this number'],
          [
            'milliard shipments list --updated-from 2026-01-31 --json',
            'what changed since, in the order of the changes',
          ],
        ],
      }),
    )
      .option('--limit <rows>', 'at most so many, 1 to 500', '20')
      .option('--after <place>', 'go on where the page before ended'),
    context,
    async (run, options) => {
      const { filter, direction, silentMs } = readShipmentFilter(options);
      const limit = values.integer('--limit', options.limit, [1, 500]);
      const after = options.after === undefined ? null : positionAfter(options.after, filter);
      const { page, now } = await withApp(run, 'shipments list', async ({ shipments, clock }) => ({
        page: await shipments.listShipments({ filter, direction, limit, after }),
        now: clock.now(),
      }));
      const items = page.items.map((shipment) => ({ shipment, attention: attentionOf(shipment, { now, silentMs }) }));
      for (const { shipment, attention } of items)
        await run.output.record(JSON.parse(listedShipmentJson(shipment, attention)));
      const more = page.next === null ? null : `--after ${formatPosition(page.next)}`;
      if (run.output.json) return undefined;
      if (items.length > 0) run.output.table(head, items.map(toRow));
      else run.output.say(more === null ? 'There is no such shipment.' : 'None so far: the search is not at its end.');
      if (more !== null) run.output.note(`More: ${more}`);
      return undefined;
    },
  );

const head = ['CARRIER', 'NUMBER', 'STATUS', 'MOVED', 'EXPECTED', 'TO', 'ATTENTION'];

const toRow = ({ shipment, attention }: { shipment: Shipment; attention: readonly Attention[] }) => [
  shipment.carrier,
  shipment.trackingNumber,
  shipment.status,
  formatInstant(shipment.movedAt),
  shipment.expectedOn ?? '',
  [shipment.receiver?.city, shipment.receiver?.country].filter((part) => part != null).join(', '),
  attention.join(', '),
];
