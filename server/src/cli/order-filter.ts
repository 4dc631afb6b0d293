import type { Command } from 'commander';
import type { OrderFilter } from '../domains/orders/order-read-service.ts';
import { orderStatuses } from '../domains/orders/order-status.ts';
import type { Direction } from '../domains/orders/order-walk.ts';
import { UsageError } from './stopped.ts';
import { values } from './values.ts';

export interface FilterOptions {
  readonly status?: string;
  readonly customer?: string;
  readonly number?: string;
  readonly from?: string;
  readonly to?: string;
  readonly oldest?: boolean;
}

/** The flags that `list` and `export` share. */
export const withFilter = (command: Command): Command =>
  command
    .option('--status <list>', `only these, separated by commas: ${orderStatuses.join(', ')}`)
    .option('--customer <id>', 'only orders of this customer')
    .option('--number <number>', 'only the order with this number; with --customer')
    .option('--from <time>', 'placed at or after this day or instant')
    .option('--to <time>', 'placed before this day or instant')
    .option('--oldest', 'oldest first (newest first without)');

/** @throws UsageError */
export function readFilter(options: FilterOptions): { readonly filter: OrderFilter; readonly direction: Direction } {
  if (options.number !== undefined && options.customer === undefined) {
    throw new UsageError('--number needs --customer: order numbers are unique per customer.');
  }
  const statuses =
    options.status?.split(',').map((status) => values.choice('--status', status.trim(), orderStatuses)) ?? [];
  const filter: OrderFilter = {
    statuses,
    customerId: options.customer ?? null,
    orderNumber: options.number ?? null,
    placedFrom: options.from === undefined ? null : values.instant('--from', options.from),
    placedTo: options.to === undefined ? null : values.instant('--to', options.to),
  };
  return { filter, direction: options.oldest === true ? 'oldest' : 'newest' };
}
