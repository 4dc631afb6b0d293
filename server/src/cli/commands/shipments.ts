import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { addShipmentEventCommand } from './shipments-add-event.ts';
import { shipmentEventsCommand } from './shipments-events.ts';
import { generateShipmentsCommand } from './shipments-generate.ts';
import { getShipmentCommand } from './shipments-get.ts';
import { importCommand } from './shipments-import.ts';
import { listShipmentsCommand } from './shipments-list.ts';

/** `milliard shipments import|generate|get|list|events|add-event` */
export const shipmentsCommand = (context: CliContext): Command =>
  describedCommand('shipments', {
    description: 'Shipments and what happened to them: import them, look at them, report an event.',
    examples: [
      ['milliard shipments import shipments.csv', 'a file, as a job that can be paused and gone on with'],
      ['milliard shipments get DHL TN12345678', 'where it is, what is in it, what happened'],
      ['milliard shipments list --needs-attention', 'those somebody should look at, the longest waiting first'],
    ],
  })
    .addCommand(importCommand(context))
    .addCommand(generateShipmentsCommand(context))
    .addCommand(getShipmentCommand(context))
    .addCommand(listShipmentsCommand(context))
    .addCommand(shipmentEventsCommand(context))
    .addCommand(addShipmentEventCommand(context));
