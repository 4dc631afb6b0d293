import { inBucket, type RowTexts, type Statement, statement, withRows } from '../../storage/sql.ts';
import type { Article, Shipment, ShipmentDetail, ShipmentEvent } from './shipment.ts';
import {
  articleColumns,
  articleOf,
  eventColumns,
  eventOf,
  shipmentColumnCount,
  shipmentColumns,
  shipmentOf,
} from './shipment-columns-queries.ts';
import { bucketOfShipment, type ShipmentKey } from './tracking-key.ts';

/** A part of a shipment: each row of the look-up is one. */
export type ShipmentPart =
  | { readonly part: 'shipment'; readonly shipment: Shipment }
  | { readonly part: 'article'; readonly position: number; readonly article: Article }
  | { readonly part: 'event'; readonly event: ShipmentEvent };

const articlePosition = 4;
const marker = shipmentColumnCount;

/** Columns as texts, filled up to the width of a shipment, and the letter that tells what the row is. */
function texts(columns: string, letter: 's' | 'a' | 'e'): string {
  const listed = columns.split(', ').map((column) => (column === 'e.new_leg' ? newLegText : `${column}::text`));
  const filled = Array.from({ length: shipmentColumnCount }, (_, i) => listed[i] ?? 'null::text');
  return [...filled, `'${letter}'`].join(', ');
}
// The word that the driver's own rows have; a cast would say "true".
const newLegText = `left(e.new_leg::text, 1)`;

const ofKey = (alias: string) => `${alias}.tracking_key = $1 and ${alias}.carrier_key = $2 and ${alias}.bucket = $3`;

// One statement in one bucket sees all three tables as of one moment. Measured at 1 M shipments with 2 articles and 3 events each
// (microseconds of PostgreSQL and Node a look-up): rows of one width 43 + 22; three statements 44 + 37; one row with the parts as
// JSON 43 + 30 (46 + 29 sorted there), as json_agg of the rows 47 + 32; joined texts to be split 43 + 22. The shipment alone: 15 + 14.
const selectParts = statement<unknown, [ShipmentKey]>(
  'shipment_by_key',
  `select ${texts(shipmentColumns, 's')} from shipments s where ${ofKey('s')}
   union all
   select ${texts(`${articleColumns}, a.position`, 'a')} from shipment_articles a where ${ofKey('a')}
   union all
   select ${texts(eventColumns, 'e')} from shipment_events e where ${ofKey('e')}`,
  (key) => [key.trackingKey, key.carrierKey, bucketOfShipment(key)],
);

/** A shipment with its articles and events, as parts in any order; no row when there is none. */
export const shipmentByKey = (key: ShipmentKey): Statement<ShipmentPart> =>
  inBucket(withRows(selectParts(key), partOf), bucketOfShipment(key));

function partOf(row: RowTexts): ShipmentPart {
  if (row[marker] === 's') return { part: 'shipment', shipment: shipmentOf(row) };
  if (row[marker] === 'e') return { part: 'event', event: eventOf(row) };
  return { part: 'article', position: Number(row[articlePosition]), article: articleOf(row) };
}

/** Puts the parts together. Null without a shipment among them. */
export function shipmentOfParts(parts: readonly ShipmentPart[]): ShipmentDetail | null {
  let shipment: Shipment | null = null;
  const articles: { readonly position: number; readonly article: Article }[] = [];
  const events: ShipmentEvent[] = [];
  for (const row of parts) {
    if (row.part === 'shipment') shipment = row.shipment;
    else if (row.part === 'event') events.push(row.event);
    else articles.push(row);
  }
  if (shipment === null) return null;
  articles.sort((a, b) => a.position - b.position);
  events.sort((a, b) => b.occurredAt - a.occurredAt || b.seq - a.seq);
  return { ...shipment, articles: articles.map(({ article }) => article), events };
}
