import type { Command } from 'commander';
import { dayMs } from '../core/time.ts';
import { countryOf } from '../domains/shipments/country.ts';
import { cityKey, type ShipmentFilter } from '../domains/shipments/shipment.ts';
import { defaultSilentMs } from '../domains/shipments/shipment-attention.ts';
import {
  type Direction,
  listOrderOf,
  parsePosition,
  type ShipmentPosition,
} from '../domains/shipments/shipment-list.ts';
import { shipmentStatuses } from '../domains/shipments/shipment-status.ts';
import { maxNameLength, normalisedName, type ShipmentKey, shipmentKeyOf } from '../domains/shipments/tracking-key.ts';
import { UsageError } from './stopped.ts';
import { values } from './values.ts';

/** The two arguments that name a shipment. */
export const withShipment = (command: Command): Command =>
  command
    .argument('<carrier>', 'in any spelling: case, spaces and hyphens do not count')
    .argument('<tracking-number>', 'likewise; leading zeros count');

/** The shipment that `withShipment` names. @throws UsageError */
export function shipmentOfArguments([carrier = '', trackingNumber = '']: readonly string[]): ShipmentKey {
  for (const text of [carrier, trackingNumber]) nameKey('a carrier or tracking number', text);
  const key = shipmentKeyOf(carrier, trackingNumber);
  if (key === null) throw new UsageError('Give a carrier and a tracking number.');
  return key;
}

function nameKey(what: string, text: string): string {
  const key = normalisedName(text);
  if (key !== '' && text.trim().length <= maxNameLength && !text.includes('\0') && text.isWellFormed()) return key;
  throw new UsageError(`"${text}" is not ${what}: give 1 to ${maxNameLength} characters, not only spaces and hyphens.`);
}

export interface ShipmentFilterOptions {
  readonly number?: string;
  readonly carrier?: string;
  readonly status?: string;
  readonly city?: string;
  readonly country?: string;
  readonly order?: string;
  readonly needsAttention?: boolean;
  readonly silentDays: string;
  readonly updatedFrom?: string;
  readonly updatedTo?: string;
  readonly oldest?: boolean;
}

export const withShipmentFilter = (command: Command): Command =>
  command
    .option('--number <tracking-number>', 'only shipments with this number, of any carrier')
    .option('--carrier <name>', 'only shipments of this carrier')
    .option('--status <list>', `only these, separated by commas: ${shipmentStatuses.join(', ')}`)
    .option('--city <name>', "the receiver's city; case and accents do not count")
    .option('--country <country>', "the receiver's country: two letters, or its name")
    .option('--order <order-id>', 'only shipments of this order')
    .option(
      '--needs-attention',
      'only those with an exception, silent for --silent-days, or past their day; longest first',
    )
    .option(
      '--silent-days <days>',
      'after so many days without movement a shipment is silent',
      `${defaultSilentMs / dayMs}`,
    )
    .option('--updated-from <time>', 'changed at or after this day or instant; in the order of the changes')
    .option('--updated-to <time>', 'changed before this day or instant; in the order of the changes')
    .option('--oldest', 'oldest first (newest first without)');

/** @throws UsageError */
export function readShipmentFilter(options: ShipmentFilterOptions): {
  readonly filter: ShipmentFilter;
  readonly direction: Direction;
  readonly silentMs: number;
} {
  const silentMs = values.integer('--silent-days', options.silentDays, [1, 365]) * dayMs;
  const read = <T>(text: string | undefined, parse: (text: string) => T): T | null =>
    text === undefined ? null : parse(text);
  const filter: ShipmentFilter = {
    trackingKey: read(options.number, (text) => nameKey('a tracking number', text)),
    carrierKey: read(options.carrier, (text) => nameKey('a carrier', text)),
    statuses: options.status?.split(',').map((word) => values.choice('--status', word.trim(), shipmentStatuses)) ?? [],
    cityKey: read(options.city, cityKey),
    country: read(options.country, countryCode),
    orderId: read(options.order, values.orderId),
    needsAttention: options.needsAttention === true ? { silentMs } : null,
    updatedFrom: read(options.updatedFrom, (text) => values.instant('--updated-from', text)),
    updatedTo: read(options.updatedTo, (text) => values.instant('--updated-to', text)),
  };
  if (options.oldest === true && listOrderOf(filter) !== 'created')
    throw new UsageError('--oldest: lists by changes and by attention have an order of their own. Leave it out.');
  return { filter, direction: options.oldest === true ? 'oldest' : 'newest', silentMs };
}

function countryCode(text: string): string {
  const code = countryOf(text);
  if (code !== null) return code;
  throw new UsageError(`--country is "${text}": give a country, best as two letters such as FR.`);
}

/** What `formatPosition` wrote at the end of the page before. @throws UsageError */
export function positionAfter(text: string, filter: ShipmentFilter): ShipmentPosition {
  const position = parsePosition(text, listOrderOf(filter));
  if (position !== null) return position;
  throw new UsageError(
    `--after is "${text}": give what the page before it, with the same filters, named behind "More: --after".`,
  );
}
