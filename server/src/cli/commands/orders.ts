import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { exportCommand } from './orders-export.ts';
import { generateCommand } from './orders-generate.ts';
import { getCommand } from './orders-get.ts';
import { histogramCommand } from './orders-histogram.ts';
import { importCommand } from './orders-import.ts';
import { listCommand } from './orders-list.ts';
import { statusesCommand } from './orders-statuses.ts';

/** `milliard orders import|statuses|generate|list|get|histogram|export` */
export const ordersCommand = (context: CliContext): Command =>
  describedCommand('orders', {
    description: 'Orders: bring them in, look at them, take them out.',
    examples: [
      ['milliard orders import orders.csv --preset default', 'a file of orders'],
      ['milliard orders list --status cancelled --limit 10', 'the newest cancelled orders'],
    ],
  })
    .addCommand(importCommand(context))
    .addCommand(statusesCommand(context))
    .addCommand(generateCommand(context))
    .addCommand(listCommand(context))
    .addCommand(getCommand(context))
    .addCommand(histogramCommand(context))
    .addCommand(exportCommand(context));
