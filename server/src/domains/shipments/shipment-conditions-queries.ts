import { formatInstant, type Instant, plainDateOf } from '../../core/time.ts';
import { sql } from '../../storage/sql.ts';
import type { ShipmentFilter } from './shipment.ts';
import { defaultSilentMs } from './shipment-attention.ts';
import { endedStatuses, type ShipmentStatus, shipmentStatuses } from './shipment-status.ts';
import { bucketOfShipment } from './tracking-key.ts';

/** A piece of SQL over `shipments s`. */
export type Fragment = ReturnType<typeof sql>;

/** `attentionFrom` in SQL: the expression of the index shipments_attention, word by word. */
export const attentionKey = sql`least(case when s.status = 'exception' then s.status_at at time zone 'UTC' end,
  s.moved_at at time zone 'UTC' + interval '5 days', (s.expected_on + 1)::timestamp)`;

const stillTravels = sql`s.status not in (${sql.join(endedStatuses.map((status) => sql.lit(status)))})`;

/** Where the rows of a list stand in the order of an index, and what is left to be asked of each of them. */
export interface Access {
  /** Each one stretch of an index in the list's order; together they hold every row that the filter selects. */
  readonly arms: readonly Fragment[];
  /** Conditions that the index does not decide. */
  readonly rest: readonly Fragment[];
  /** Whether the rows are so few that they are found by a key and sorted. */
  readonly few: boolean;
}

/**
 * The way to the rows of a filter. A shipment has one status, so the stretches of an index for each of them, merged, are all of
 * a carrier or a country in order: that spares the indexes without status. The same goes for a city in each of its countries.
 * @param countries those a city is known in; asked for where the filter names a city and no country
 */
export function accessOf(filter: ShipmentFilter, now: Instant, countries: readonly string[] = []): Access {
  const { trackingKey, carrierKey, statuses, orderId, cityKey, needsAttention } = filter;
  const when = <T>(value: T | null, condition: (value: T) => Fragment) => (value === null ? [] : [condition(value)]);
  const order = when(orderId, (id) => sql`s.order_id = ${id}::uuid`);
  const carrier = when(carrierKey, (key) => sql`s.carrier_key = ${key}`);
  const city = when(cityKey, (key) => sql`s.receiver_city_key = ${key}`);
  const country = when(filter.country, (code) => sql`s.receiver_country = ${code}`);
  const status = statuses.length === 0 ? [] : [sql`s.status = any(${statuses}::text[])`];
  const updated = [
    ...when(filter.updatedFrom, (from) => sql`s.updated_at >= ${formatInstant(from)}::timestamptz`),
    ...when(filter.updatedTo, (to) => sql`s.updated_at < ${formatInstant(to)}::timestamptz`),
  ];
  const attention = when(needsAttention, ({ silentMs }) => needsAttentionAt(now, silentMs));

  if (trackingKey !== null) {
    const home = carrierKey === null ? [] : [sql`s.bucket = ${bucketOfShipment({ carrierKey, trackingKey })}`];
    const arms = [all([sql`s.tracking_key = ${trackingKey}`, ...carrier, ...home])];
    return { arms, rest: [...order, ...city, ...country, ...status, ...updated, ...attention], few: true };
  }
  const few = order.length > 0;
  if (few) return { arms: order, rest: [...carrier, ...city, ...country, ...status, ...updated, ...attention], few };
  if (updated.length > 0)
    return { arms: [all(updated)], rest: [...carrier, ...city, ...country, ...status, ...attention], few };
  if (needsAttention !== null) {
    const arms = [attentionUntil(now, needsAttention.silentMs)];
    return { arms, rest: [...carrier, ...city, ...country, ...status, ...attention], few };
  }
  if (cityKey !== null) {
    const places = country.length > 0 ? [inPlace(filter.country)] : padded([...countries, '']).map(inPlace);
    return { arms: places.flatMap((place) => perStatus([...city, place], statuses)), rest: carrier, few };
  }
  if (carrierKey !== null) {
    const ofCarrier = sql`s.carrier_key collate "POSIX" = ${carrierKey}`;
    return { arms: perStatus([ofCarrier], statuses), rest: country, few };
  }
  if (country.length > 0) return { arms: perStatus(country, statuses), rest: [], few };
  return { arms: ofStatuses(statuses).map((status) => sql`s.status collate "C" = ${status}::text`), rest: [], few };
}

export const all = (conditions: readonly Fragment[]): Fragment => sql.join([...conditions], sql` and `);

// Few numbers of stretches make few texts of statements; those that are one too many look for null and find nothing.
const widths = [1, 2, 4, shipmentStatuses.length];

function padded<T>(values: readonly T[]): (T | null)[] {
  const width = widths.find((candidate) => candidate >= values.length) ?? values.length;
  return Array.from({ length: width }, (_, i) => values[i] ?? null);
}

const ofStatuses = (statuses: readonly ShipmentStatus[]): (ShipmentStatus | null)[] =>
  padded(statuses.length === 0 ? shipmentStatuses : [...new Set(statuses)]);

const perStatus = (conditions: readonly Fragment[], statuses: readonly ShipmentStatus[]): Fragment[] =>
  ofStatuses(statuses).map((status) => all([...conditions, sql`s.status = ${status}::text`]));

// An unknown country is '' in the index of cities: "is null" would be no stretch whose order the plan knows.
const inPlace = (country: string | null): Fragment => sql`coalesce(s.receiver_country, '') = ${country}::text`;

/** `attentionOf` in SQL. */
const needsAttentionAt = (now: Instant, silentMs: number): Fragment =>
  sql`${stillTravels} and (s.status = 'exception' or s.moved_at <= ${formatInstant((now - silentMs) as Instant)}::timestamptz
    or s.expected_on < ${plainDateOf(now)}::date)`;

// The clocks of servers differ, and an event may be a little ahead of them.
const clockToleranceMs = 3_600_000;

/** All that may need attention, as the index has them: by the default silence, or earlier where a shorter one is asked for. */
const attentionUntil = (now: Instant, silentMs: number): Fragment => {
  const until = now + clockToleranceMs + Math.max(0, defaultSilentMs - silentMs);
  return sql`${stillTravels} and ${attentionKey} <= ${formatInstant(until as Instant)}::timestamp`;
};
