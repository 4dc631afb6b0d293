import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { exportCommand } from './orders-export.ts';
import { generateCommand } from './orders-generate.ts';
import { getCommand } from './orders-get.ts';
import { importCommand } from './orders-import.ts';
import { listCommand } from './orders-list.ts';

/** `milliard orders import|generate|list|get|export` */
export const ordersCommand = (context: CliContext): Command =>
  describedCommand('orders', {
    description: 'Orders: bring them in, look at them, take them out.',
    examples: [
      ['milliard orders import orders.csv --preset default', 'a file of orders'],
      ['milliard orders list --status cancelled --limit 10', 'the newest cancelled orders'],
    ],
  })
    .addCommand(importCommand(context))
    .addCommand(generateCommand(context))
    .addCommand(listCommand(context))
    .addCommand(getCommand(context))
    .addCommand(exportCommand(context));
