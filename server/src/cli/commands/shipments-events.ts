import type { Command } from 'commander';
import { formatInstant } from '../../core/time.ts';
import type { ShipmentEvent } from '../../domains/shipments/shipment.ts';
import { shipmentJson } from '../../http/shipment-representation.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import type { Output } from '../output.ts';
import { shipmentOfArguments, withShipment } from '../shipment-options.ts';

/** `milliard shipments events` */
export const shipmentEventsCommand = (context: CliContext): Command =>
  does(
    withShipment(
      describedCommand('events', {
        description: 'What happened to a shipment, newest first.',
        examples: [
          ['milliard shipments events DHL TN12345678', 'a table'],
          ['milliard shipments events DHL TN12345678 --json', 'the events of the API document, one a line'],
        ],
        exitCodes: [[1, 'there is no such shipment']],
      }),
    ),
    context,
    async (run, _options, names) => {
      const key = shipmentOfArguments(names);
      const shipment = await withApp(run, 'shipments events', ({ shipments }) => shipments.getShipment(key));
      const document = JSON.parse(shipmentJson(shipment, [])) as { readonly events: readonly object[] };
      for (const event of document.events) await run.output.record(event);
      if (!run.output.json) showEvents(run.output, shipment.events);
      return undefined;
    },
  );

/** Events for a person. */
export function showEvents(output: Output, events: readonly ShipmentEvent[]): void {
  if (events.length === 0) output.say('Nothing was reported yet.');
  else
    output.table(
      ['#', 'CODE', 'MEANS', 'OCCURRED', 'RECORDED', 'WHERE', 'DESCRIPTION', 'BY'],
      events.map((event) => [
        event.seq,
        event.code,
        event.status,
        formatInstant(event.occurredAt),
        formatInstant(event.recordedAt),
        [event.city, event.country].filter((part) => part !== null).join(', '),
        event.description ?? '',
        event.actor,
      ]),
    );
}
