import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { verifyOrdersCommand } from './verify-orders.ts';
import { verifyShipmentsCommand } from './verify-shipments.ts';
import { verifyUsageCommand } from './verify-usage.ts';

/** `milliard verify orders|shipments|usage` */
export const verifyCommand = (context: CliContext): Command =>
  describedCommand('verify', {
    description: 'Prove that what is kept twice agrees.',
    examples: [
      ['milliard verify orders', 'every order against its history'],
      ['milliard verify shipments', 'every shipment against its events'],
      ['milliard verify usage', 'every sum of usage against its raw rows'],
    ],
  })
    .addCommand(verifyOrdersCommand(context))
    .addCommand(verifyShipmentsCommand(context))
    .addCommand(verifyUsageCommand(context));
