import type { Bucket } from '../../core/bucket.ts';
import { dynamic, type Statement, sql, statement, withRows } from '../../storage/sql.ts';
import type { Shipment, ShipmentEvent } from './shipment.ts';
import { eventColumns, eventOf, shipmentColumnCount, shipmentColumns, shipmentOf } from './shipment-columns-queries.ts';
import type { ShipmentKey } from './tracking-key.ts';

type Fragment = ReturnType<typeof sql<unknown>>;

/** A key with its home: the primary key in its order. */
export interface KeyPlace extends ShipmentKey {
  readonly bucket: Bucket;
}

/** Keys behind `after` up to `to`, inclusive; null = from the first, to the last. */
export interface KeySpan {
  readonly after: KeyPlace | null;
  readonly to: KeyPlace | null;
}

const place = ({ trackingKey, carrierKey, bucket }: KeyPlace): Fragment =>
  sql`(${trackingKey}::text, ${carrierKey}::text, ${bucket}::smallint)`;

const within = ({ after, to }: KeySpan, alias: 's' | 'e' | 'a'): Fragment => {
  const key = sql.raw(`(${alias}.tracking_key, ${alias}.carrier_key, ${alias}.bucket)`);
  return sql`${after === null ? sql`true` : sql`${key} > ${place(after)}`} and ${to === null ? sql`true` : sql`${key} <= ${place(to)}`}`;
};

/** The key that stands `rows` shipments behind the beginning of the span, that one included. */
export const spanEnd = (after: KeyPlace | null, rows: number): Statement<KeyPlace> =>
  dynamic(sql<KeyPlace>`
    select s.tracking_key as "trackingKey", s.carrier_key as "carrierKey", s.bucket from shipments s
     where ${within({ after, to: null }, 's')} order by s.tracking_key, s.carrier_key, s.bucket offset ${rows - 1} limit 1`);

export const shipmentsIn = (span: KeySpan): Statement<Shipment> =>
  withRows(dynamic(sql`select ${sql.raw(shipmentColumns)} from shipments s where ${within(span, 's')}`), shipmentOf);

export interface OwnedEvent extends ShipmentKey {
  readonly event: ShipmentEvent;
}

const eventColumnCount = eventColumns.split(',').length;

export const eventsIn = (span: KeySpan): Statement<OwnedEvent> =>
  withRows(
    dynamic(
      sql`select ${sql.raw(eventColumns)}, e.tracking_key, e.carrier_key from shipment_events e where ${within(span, 'e')}`,
    ),
    (texts) => ({
      event: eventOf(texts),
      trackingKey: texts[eventColumnCount] as string,
      carrierKey: texts[eventColumnCount + 1] as string,
    }),
  );

/** How many articles each shipment has, in the order of the keys: its own join would read all shipments (250 ms instead of 1). */
export const articlesIn = (span: KeySpan): Statement<ShipmentKey & { readonly articles: number }> =>
  dynamic(sql<ShipmentKey & { articles: number }>`
    select a.tracking_key as "trackingKey", a.carrier_key as "carrierKey", count(*)::int as articles
      from shipment_articles a where ${within(span, 'a')} group by a.tracking_key, a.carrier_key, a.bucket`);

/** A shipment and one of its events, null where it has none. */
export interface ShipmentWithEvent {
  readonly shipment: Shipment;
  readonly event: ShipmentEvent | null;
}

const selectWithEvents = statement<unknown, [readonly KeyPlace[]]>(
  'shipments_with_events',
  `select ${shipmentColumns}, ${eventColumns} from shipments s
     left join shipment_events e on e.tracking_key = s.tracking_key and e.carrier_key = s.carrier_key and e.bucket = s.bucket
    where s.tracking_key = any($1::text[]) and s.bucket = any($2::smallint[])`,
  (keys) => [keys.map(({ trackingKey }) => trackingKey), [...new Set(keys.map(({ bucket }) => bucket))]],
);

/** Shipments with their events as they are at one moment, in one statement; may bring a few more. */
export const shipmentsWithEvents = (keys: readonly KeyPlace[]): Statement<ShipmentWithEvent> =>
  withRows(selectWithEvents(keys), (texts) => ({
    shipment: shipmentOf(texts),
    event: texts[shipmentColumnCount] == null ? null : eventOf(texts, shipmentColumnCount),
  }));

interface Explained {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: { readonly 'Plan Rows': number } }];
}

/** Counts at most `cap` shipments. */
export const countUpTo = (cap: number): Statement<{ rows: number }> =>
  dynamic(sql<{ rows: number }>`
    select count(*)::float8 as rows from (select 1 from shipments limit ${cap}) counted`);

/** How many the planner expects: it looks at the files, so that tables never analysed are guessed well enough. */
export const explainRows = (): Statement<Explained> => ({
  text: 'explain (format json) select from shipments',
  values: [],
});

export const plannedRows = ([explained]: readonly Explained[]): number =>
  explained?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0;
