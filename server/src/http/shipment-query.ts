import { z } from 'zod';
import { dayMs, formatInstant, type Instant } from '../core/time.ts';
import { countryOf } from '../domains/shipments/country.ts';
import { cityKey, type ShipmentFilter } from '../domains/shipments/shipment.ts';
import { defaultSilentMs } from '../domains/shipments/shipment-attention.ts';
import { type Direction, listOrderOf } from '../domains/shipments/shipment-list.ts';
import { type ShipmentStatus, shipmentStatuses } from '../domains/shipments/shipment-status.ts';
import { maxNameLength, nameKeyOf, type ShipmentKey } from '../domains/shipments/tracking-key.ts';
import { choice, moment, parameter, text, wholeNumber } from './query-parameters.ts';
import { shipmentExample } from './shipment-representation.ts';
import { withShortcut } from './validation.ts';

const nameFault = `must have 1 to ${maxNameLength} characters, not only spaces and hyphens, and none of them NUL`;

/** A carrier or a number as it is compared; null for what can be none. */
const readName = (given: string): string | null => (given.trim().length <= maxNameLength ? nameKeyOf(given) : null);

/** The key that a path names; null for one that no shipment can have. */
export function keyInPath(carrier: string, trackingNumber: string): ShipmentKey | null {
  const carrierKey = readName(carrier);
  const trackingKey = readName(trackingNumber);
  return carrierKey === null || trackingKey === null ? null : { carrierKey, trackingKey };
}

const nameInPath = (example: string) =>
  z
    .string()
    .transform((given, context): string => {
      const key = readName(given);
      if (key !== null) return key;
      context.addIssue({ code: 'custom', message: nameFault });
      return z.NEVER;
    })
    .meta({
      description: 'In any spelling: case, spaces and hyphens do not count, leading zeros do.',
      'x-examples': [example],
    });

/** `/{carrier}/{tracking_number}`, read into the key of a shipment. */
export const shipmentParams = withShortcut(
  z
    .strictObject({
      carrier: nameInPath(shipmentExample.carrier),
      tracking_number: nameInPath(shipmentExample.tracking_number),
    })
    .transform(({ carrier: carrierKey, tracking_number: trackingKey }): ShipmentKey => ({ carrierKey, trackingKey })),
  ({ carrier, tracking_number }) => keyInPath(carrier, tracking_number),
);

// Clients take `.` and `..` out of a path, escaped or not; a hyphen more is the same name in another spelling.
const pathPart = (given: string): string => encodeURIComponent(/^\.\.?$/.test(given) ? `${given}-` : given);

/** The URL of a shipment: names may hold slashes and worse. */
export const shipmentUrl = ({ carrier, trackingNumber }: { carrier: string; trackingNumber: string }): string =>
  `/api/v1/shipments/${pathPart(carrier)}/${pathPart(trackingNumber)}`;

const name = (description: string) =>
  parameter((value, refuse) => readName(value) ?? refuse(nameFault), {
    type: 'string',
    minLength: 1,
    maxLength: maxNameLength,
    description,
  });

const isStatus = (value: string): value is ShipmentStatus => (shipmentStatuses as readonly string[]).includes(value);

const statuses = parameter(
  (value, refuse): readonly ShipmentStatus[] => {
    const words = value.split(',');
    return words.every(isStatus)
      ? [...new Set(words)]
      : refuse(`must be one or several of ${shipmentStatuses.join(', ')}, with commas between`);
  },
  {
    type: 'string',
    description: `One or several of ${shipmentStatuses.join(', ')}, with commas between.`,
    'x-examples': ['exception,returning'],
  },
);

const filterFields = {
  tracking_number: name('Shipments with this number, in any spelling; several carriers may have it.'),
  carrier: name('Shipments of this carrier, in any spelling.'),
  status: statuses,
  city: text(200, "The receiver's city; case and accents do not count."),
  country: parameter(
    (value, refuse) => countryOf(value) ?? refuse('must be a country, best as ISO 3166-1 alpha-2: FR'),
    {
      type: 'string',
      description: "The receiver's country: ISO 3166-1 alpha-2, or a name that addresses are read by.",
      'x-examples': ['FR'],
    },
  ),
  order_id: parameter((value, refuse) => (uuid.test(value) ? value.toLowerCase() : refuse('must be a UUID')), {
    type: 'string',
    format: 'uuid',
    description: 'Shipments of this order.',
  }),
  needs_attention: parameter(
    (value, refuse): true => (value === 'true' ? true : refuse('must be true, or left out for all shipments')),
    {
      type: 'string',
      enum: ['true'],
      description:
        'Only those that still travel and have an exception, were not seen to move for silent_days, or are past their expected day.',
    },
  ),
  silent_days: wholeNumber(
    [1, 365],
    `After so many days without movement a shipment is silent; ${defaultSilentMs / dayMs} unless given. Also for \`attention\` in the answer.`,
  ),
  updated_from: moment('Changed at or after this instant.'),
  updated_to: moment('Changed before this instant.'),
};
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Fields = z.ZodObject<typeof filterFields>;
type FilterParameters = z.output<Fields>;

const defaultLimit = 50;

/** What a list of shipments selects by, and after which silence it calls one silent. */
export interface ShipmentSelection {
  readonly filter: ShipmentFilter;
  readonly silentMs: number;
}

/** What a list of shipments is asked for. */
export interface ShipmentListQuery extends ShipmentSelection {
  readonly direction: Direction;
  readonly limit: number;
  readonly cursor: string | null;
  /** The parameters as they were given, for `next`. */
  readonly given: Readonly<Record<string, string>>;
}

function toSelection(query: FilterParameters): ShipmentSelection {
  const silentMs = query.silent_days === undefined ? defaultSilentMs : query.silent_days * dayMs;
  return {
    silentMs,
    filter: {
      trackingKey: query.tracking_number ?? null,
      carrierKey: query.carrier ?? null,
      statuses: query.status ?? [],
      cityKey: query.city === undefined ? null : cityKey(query.city),
      country: query.country ?? null,
      orderId: query.order_id ?? null,
      needsAttention: query.needs_attention === true ? { silentMs } : null,
      updatedFrom: query.updated_from ?? null,
      updatedTo: query.updated_to ?? null,
    },
  };
}

function checkTogether(query: FilterParameters, context: z.RefinementCtx): void {
  if (query.updated_from !== undefined && query.updated_to !== undefined && query.updated_to <= query.updated_from)
    context.addIssue({ code: 'custom', path: ['updated_to'], message: 'must be later than updated_from' });
}

/** GET /shipments */
export const shipmentListQuery = z
  .strictObject({
    ...filterFields,
    order: choice(
      ['newest', 'oldest'],
      'The newest or the oldest first, by created_at. Not together with updated_from, updated_to or needs_attention, which have an order of their own.',
    ),
    limit: wholeNumber([1, 500], `Shipments a page; ${defaultLimit} unless given.`),
    cursor: text(200, 'The next_cursor of the page before.'),
  })
  .superRefine((query, context) => {
    checkTogether(query, context);
    if (query.order !== undefined && listOrderOf(toSelection(query).filter) !== 'created') {
      const message =
        'cannot stand beside updated_from, updated_to or needs_attention: these lists have an order of their own';
      context.addIssue({ code: 'custom', path: ['order'], message });
    }
  })
  .transform(
    ({ order, limit, cursor, ...query }): ShipmentListQuery => ({
      ...toSelection(query),
      direction: order ?? 'newest',
      limit: limit ?? defaultLimit,
      cursor: cursor ?? null,
      given: givenOf(query),
    }),
  );

/** GET /shipments/count */
export const shipmentCountQuery = z.strictObject(filterFields).superRefine(checkTogether).transform(toSelection);

const givenOf = (query: FilterParameters): Record<string, string> =>
  Object.fromEntries(
    Object.entries(query).flatMap(([field, value]) =>
      value === undefined
        ? []
        : [[field, field.startsWith('updated_') ? formatInstant(value as Instant) : String(value)]],
    ),
  );

/** What a cursor of a list of shipments is bound to. */
export const boundTo = ({ given, direction }: ShipmentListQuery): string =>
  JSON.stringify(['shipments', Object.entries(given).sort(), direction]);

/** The query as a URL carries it, for `next`: defaults left out. */
export function shipmentSearch({ given, direction, limit }: ShipmentListQuery, cursor: string): string {
  const search = new URLSearchParams(given);
  if (direction !== 'newest') search.set('order', direction);
  if (limit !== defaultLimit) search.set('limit', String(limit));
  search.set('cursor', cursor);
  return search.toString().replaceAll('%3A', ':').replaceAll('%2C', ',');
}
