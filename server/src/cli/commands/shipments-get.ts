import type { Command } from 'commander';
import { formatMajorUnits } from '../../core/money.ts';
import { formatInstant } from '../../core/time.ts';
import type { Address, Shipment, ShipmentDetail } from '../../domains/shipments/shipment.ts';
import { type Attention, attentionOf, defaultSilentMs } from '../../domains/shipments/shipment-attention.ts';
import { shipmentJson } from '../../http/shipment-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import type { Output } from '../output.ts';
import { shipmentOfArguments, withShipment } from '../shipment-options.ts';
import { showEvents } from './shipments-events.ts';

/** `milliard shipments get` */
export const getShipmentCommand = (context: CliContext): Command =>
  does(
    withShipment(
      describedCommand('get', {
        description: 'One shipment with its articles and everything that happened to it.',
        examples: [
          ['milliard shipments get DHL TN12345678', 'any spelling will do'],
          ['milliard shipments get dhl "tn 12345678" --json | jq -r .status', 'the API document'],
        ],
        exitCodes: [[1, 'there is no such shipment']],
      }),
    ),
    context,
    async (run, _options, names) => {
      const key = shipmentOfArguments(names);
      const [shipment, attention] = await withApp(run, 'shipments get', async ({ shipments, clock }) => {
        const found = await shipments.getShipment(key);
        return [found, attentionOf(found, { now: clock.now(), silentMs: defaultSilentMs })] as const;
      });
      if (!run.output.json) show(run.output, shipment, attention);
      await run.output.record(JSON.parse(shipmentJson(shipment, attention)));
      return undefined;
    },
  );

function show(output: Output, shipment: ShipmentDetail, attention: readonly Attention[]): void {
  showShipment(output, shipment, attention);
  const price = (minor: number | null) =>
    minor === null ? '' : `${formatMajorUnits(BigInt(minor), shipment.currency)} ${shipment.currency}`;
  output.say('');
  output.table(
    ['SKU', 'NAME', 'QUANTITY', 'PRICE'],
    shipment.articles.map(({ sku, name, quantity, unitPrice }) => [sku ?? '', name, quantity, price(unitPrice)]),
  );
  output.say('');
  showEvents(output, shipment.events);
}

/** A shipment for a person, without its articles and events. */
export function showShipment(output: Output, shipment: Shipment, attention: readonly Attention[]): void {
  const { decidedBy } = shipment;
  const since = decidedBy === null ? '' : ` since ${formatInstant(decidedBy.occurredAt)} ("${decidedBy.code}")`;
  output.say(`carrier    ${shipment.carrier}`);
  output.say(`number     ${shipment.trackingNumber}`);
  output.say(`status     ${shipment.status}${since}`);
  if (attention.length > 0) output.say(`attention  ${attention.join(', ')}`);
  output.say(`moved      ${formatInstant(shipment.movedAt)}`);
  output.say(`expected   ${shipment.expectedOn ?? '(nobody said)'}`);
  output.say(`order      ${shipment.orderId ?? '(none)'}`);
  output.say(`from       ${placeOf(shipment.sender)}`);
  output.say(`to         ${placeOf(shipment.receiver)}`);
  output.say(`created    ${formatInstant(shipment.createdAt)}, changed ${formatInstant(shipment.updatedAt)}`);
}

const placeOf = (address: Address | null): string => address?.address ?? '(unknown)';
