import type { ShipmentId } from '../../core/ids.ts';
import { formatInstant } from '../../core/time.ts';
import { parseTimestamptz } from '../../storage/pg-types.ts';
import { dynamic, prepared, type Statement, sql, statement, withRows } from '../../storage/sql.ts';
import type { Shipment } from './shipment.ts';
import { shipmentColumns, shipmentOf } from './shipment-columns-queries.ts';
import { type Access, all, attentionKey, type Fragment } from './shipment-conditions-queries.ts';
import type { ListOrder, ShipmentPosition, ShipmentWalk } from './shipment-list.ts';

/** What a list is ordered by, over `shipments s`. */
const keyOf: Record<ListOrder, Fragment> = {
  created: sql`s.shipment_id`,
  updated: sql`s.updated_at, s.shipment_id`,
  attention: sql`${attentionKey}, s.shipment_id`,
};
// Over a sub-query, whose order is known by its columns only.
const outerKeyOf: Record<ListOrder, Fragment> = { ...keyOf, attention: sql`s.attention_key, s.shipment_id` };

const inOrder = (keys: Record<ListOrder, Fragment>, { order, direction }: ShipmentWalk) =>
  order === 'created' && direction === 'newest' ? sql`order by ${keys[order]} desc` : sql`order by ${keys[order]}`;

/** What lies behind the last row of the page before. */
function behind({ order, direction, after }: ShipmentWalk): Fragment[] {
  if (after === null) return [];
  const { shipmentId, at } = after;
  if (order === 'created') {
    return [direction === 'newest' ? sql`s.shipment_id < ${shipmentId}` : sql`s.shipment_id > ${shipmentId}`];
  }
  const type = order === 'updated' ? sql`timestamptz` : sql`timestamp`;
  const instant = at === null ? null : formatInstant(at);
  return [sql`(${keyOf[order]}) > (${instant}::${type}, ${shipmentId}::uuid)`];
}

/** Shipments in the list's order, those that the rest of the filter refuses among them: at most `rows`, all columns. */
function scan(access: Access, walk: ShipmentWalk, rows: number): Fragment {
  const key = walk.order === 'attention' ? sql`, ${attentionKey} as attention_key` : sql``;
  const arms = access.arms.map(
    (arm) =>
      sql`(select s.*${key} from shipments s where ${all([arm, ...behind(walk)])} ${inOrder(keyOf, walk)} limit ${sql.lit(rows)})`,
  );
  if (arms.length === 1 && arms[0] !== undefined) return arms[0];
  return sql`(select * from (${sql.join(arms, sql` union all `)}) s ${inOrder(outerKeyOf, walk)} limit ${sql.lit(rows)})`;
}

// The limit stands in the text, so that the plan knows that few rows are read; few limits make few texts.
const limits = [11, 51, 101, 251, 501] as const;

export interface PageSize {
  /** How many rows are wanted, at most 501. */
  readonly rows: number;
  /** How many rows of the index are looked at where it does not decide the whole filter. */
  readonly scannedRows: number;
}

/** At least `rows` rows of the list where there are so many; the caller cuts off what it did not ask for. */
export function shipmentsPage(
  access: Access,
  walk: ShipmentWalk,
  { rows, scannedRows }: PageSize,
): Statement<Shipment> {
  const limit = limits.find((candidate) => candidate >= rows) ?? limits[limits.length - 1] ?? rows;
  const columns = sql.raw(shipmentColumns);
  const cut = sql`limit ${sql.lit(limit)}`;
  const { rest } = access;
  if (access.few) {
    const conditions = [...rest, ...behind(walk)];
    // Materialised: with sorting made dear (storage/read-clients.ts) the plan would rather walk an index that is in order.
    const page = sql<Shipment>`with s as materialized (select s.* from shipments s where ${all(access.arms)})
      select ${columns} from s ${whereAll(conditions)} ${inOrder(keyOf, walk)} ${cut}`;
    return withRows(compiled(access, page), shipmentOf);
  }
  const source = scan(access, walk, rest.length === 0 ? limit : scannedRows);
  const page = sql<Shipment>`select ${columns} from ${source} s ${whereAll(rest)} ${inOrder(outerKeyOf, walk)} ${cut}`;
  return withRows(compiled(access, page), shipmentOf);
}

const whereAll = (conditions: readonly Fragment[]): Fragment =>
  conditions.length === 0 ? sql`` : sql`where ${all(conditions)}`;

// A plan of ten stretches holds a hundred kilobytes of a connection for ever: rare texts are planned each time instead.
const preparedArms = 40;
const preparedConditions = 1;

const compiled = ({ arms, rest }: Access, statement: Fragment): Statement<unknown> =>
  arms.length > preparedArms || rest.length > preparedConditions ? dynamic(statement) : prepared(statement);

/** The last row that `shipmentsPage` looked at when it did not look at all of them; no row when it did. */
export function endOfScan(access: Access, walk: ShipmentWalk, scannedRows: number): Statement<ShipmentPosition> {
  const end = sql`select s.shipment_id, ${instantOf[walk.order]} from ${scan(access, walk, scannedRows)} s
    ${inOrder(outerKeyOf, walk)} offset ${sql.lit(scannedRows - 1)} limit 1`;
  return withRows(compiled(access, end), ([shipmentId, instant]) => ({
    shipmentId: shipmentId as ShipmentId,
    at: instant == null ? null : parseTimestamptz(instant),
  }));
}

const instantOf: Record<ListOrder, Fragment> = {
  created: sql`null::text`,
  updated: sql`s.updated_at`,
  attention: sql`s.attention_key at time zone 'UTC'`,
};

/** The next country, by its code, in which there is a city of this name; the first one behind ''. */
export const nextCountryOfCity = statement<{ country: string }, [string, string]>(
  'next_country_of_city',
  `select s.receiver_country as country from shipments s
    where s.receiver_city_key = $1 and coalesce(s.receiver_country, '') > $2
    order by coalesce(s.receiver_country, '') limit 1`,
  (cityKey, country) => [cityKey, country],
);

export interface ScannedCount {
  /** Rows of the index that were looked at. */
  readonly scanned: bigint;
  /** Those among them that the filter selects. */
  readonly count: bigint;
}

/**
 * For the transaction of a count: what `planning` is for reads. For a city in forty stretches the planner would read the whole
 * table many times over, because each might be large.
 */
export const countByIndex = statement(
  'count_by_index',
  `select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`,
);

/**
 * Looks at no more than `rows` rows of the index; after `countByIndex`. Of each it takes only whether it counts, for on Citus all that
 * is taken travels from the shards.
 */
export function countShipments({ arms, rest }: Access, rows: number): Statement<ScannedCount> {
  const limit = sql`limit ${sql.lit(rows)}`;
  const counts = rest.length === 0 ? sql`true` : all(rest);
  const found = arms.map((arm) => sql`(select ${counts} as counts from shipments s where ${arm} ${limit})`);
  return dynamic(
    sql`select count(*) as scanned, count(*) filter (where s.counts) as count
      from (select s.counts from (${sql.join(found, sql` union all `)}) s ${limit}) s`,
  );
}
