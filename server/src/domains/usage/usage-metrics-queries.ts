import type { RawBuilder } from 'kysely';
import { bucketOf } from '../../core/bucket.ts';
import { type Day, formatDay, parseDay } from '../../core/days.ts';
import { dynamic, inBucket, prepared, type RowTexts, type Statement, sql, withRows } from '../../storage/sql.ts';
import { formatAmount } from './decimal.ts';
import type { MetricsQuery, StreamFormat, SumKey, UsageSum } from './usage-read.ts';
import { asLiteral, asParameter, freshSums, selectionOf, type Value, where } from './usage-sums-queries.ts';

type Sql = RawBuilder<unknown>;

export interface MetricsStatement extends Pick<MetricsQuery, 'selection' | 'byDay' | 'fresh'> {
  readonly isCitus: boolean;
}

interface Walk {
  readonly after: SumKey | null;
  /** null = all of them */
  readonly rows: number | null;
  readonly value: Value;
}

const isSomething = sql`(sum(u.records) <> 0 or sum(u.total_used) <> 0 or sum(u.total_price) <> 0)`;
const isSomethingOfDay = sql`(u.records <> 0 or u.total_used <> 0 or u.total_price <> 0)`;

const limitOf = ({ rows }: Walk): Sql => (rows === null ? sql`` : sql`limit ${sql.lit(rows)}`);

function afterOf({ after, value }: Walk): Sql[] {
  if (after === null) return [];
  const { subscriptionId, usageType, day } = after;
  const key = sql`${value(subscriptionId)}, ${value(usageType)}`;
  return [
    day === null
      ? sql`(u.subscription_id, u.usage_type) > (${key})`
      : sql`(u.subscription_id, u.usage_type, u.day) > (${key}, ${value(formatDay(day))}::date)`,
  ];
}

/**
 * The sums of the rollup. Of all subscriptions they are read in the order of the primary key, so that a page ends after its last
 * row and a whole answer begins at once. On Citus the bucket makes each group the affair of one shard; on one server it would only
 * cost time.
 */
function rolledUp({ selection, byDay, fresh, isCitus }: MetricsStatement, walk: Walk): Sql {
  const conditions = [...selectionOf(selection, walk.value), ...afterOf(walk)];
  if (byDay) {
    return sql`select u.subscription_id, u.usage_type, u.total_price, u.total_used, u.records, u.day
      from usage_daily u ${where(fresh ? conditions : [...conditions, isSomethingOfDay])}
      order by u.subscription_id, u.usage_type, u.day ${limitOf(walk)}`;
  }
  const bucket = isCitus ? sql`, u.bucket` : sql``;
  return sql`select u.subscription_id, u.usage_type, sum(u.total_price) as total_price, sum(u.total_used) as total_used,
      sum(u.records)::bigint as records
    from usage_daily u ${where(conditions)}
    group by u.subscription_id, u.usage_type${bucket} ${fresh ? sql`` : sql`having ${isSomething}`}
    order by u.subscription_id, u.usage_type ${limitOf(walk)}`;
}

/**
 * The rows of a page, or of everything. With `fresh`, the first rows of the rollup's sums and the first ones of the open batches'
 * sums hold every part of the first rows of both together. Sums of nothing are left out by the reader then: whether two parts make
 * nothing is known only behind the limit.
 */
function sums(statement: MetricsStatement, walk: Walk): { readonly head: Sql; readonly body: Sql } {
  if (!statement.fresh) return { head: sql``, body: rolledUp(statement, walk) };
  const { selection, byDay } = statement;
  const day = byDay ? sql`, u.day` : sql``;
  const key = sql`u.subscription_id, u.usage_type${day}`;
  return {
    head: freshSums(selection, { byDay, value: walk.value }),
    body: sql`select u.subscription_id, u.usage_type, sum(u.total_price) as total_price, sum(u.total_used) as total_used,
        sum(u.records)::bigint as records${day}
      from ((${rolledUp(statement, walk)})
            union all
            (select u.subscription_id, u.usage_type, u.total_price, u.total_used, u.records${day} from fresh u ${where(afterOf(walk))}
              order by ${key} ${limitOf(walk)})) u
      group by ${key} ${walk.rows === null ? sql`having ${isSomething}` : sql``}
      order by ${key} ${limitOf(walk)}`,
  };
}

// Limits stand in the text, so that the plan knows that few rows are read; few limits make few texts to prepare.
const limits = [11, 51, 101, 251, 501] as const;

const pageLimit = (rows: number): number => limits.find((candidate) => candidate >= rows) ?? rows;

/**
 * At least `rows` sums behind a key where there are so many, in the order of subscription, type and day; the caller cuts off what
 * it did not ask for. One subscription's are prepared: they are read most. They are read from one table without a subquery, for
 * Citus makes a plan for any values of nothing else.
 */
export function metricsPage(
  statement: MetricsStatement,
  { after, rows }: { readonly after: SumKey | null; readonly rows: number },
): Statement<UsageSum> {
  const { subscriptionId } = statement.selection;
  const isHot = subscriptionId !== null && !statement.fresh;
  const { head, body } = sums(statement, { after, rows: isHot ? pageLimit(rows) : rows, value: asParameter });
  const page = sql`${head} ${body}`;
  const found = withRows(isHot ? prepared(page) : dynamic(page), sumOf);
  return subscriptionId === null ? found : inBucket(found, bucketOf(subscriptionId));
}

function sumOf([subscriptionId, usageType, totalPrice, totalUsed, records, day]: RowTexts): UsageSum {
  return {
    subscriptionId: subscriptionId ?? '',
    usageType: usageType ?? '',
    totalPrice: formatAmount(totalPrice ?? ''),
    totalUsed: totalUsed ?? '',
    records: BigInt(records ?? ''),
    day: day == null ? null : (parseDay(day) as Day),
  };
}

// As formatAmount writes it. Most have two places: these are written as they are.
const amount = sql`case when scale(s.total_price) = 2 then s.total_price
    else round(s.total_price, greatest(2, min_scale(s.total_price))) end`;

/**
 * A line is one column that COPY's CSV form leaves alone: JSON text holds neither of these two characters. One call of format()
 * costs less than a chain of || (1.6 instead of 1.9 us a line, 0.75 of them the reading).
 */
const jsonLine = (byDay: boolean): Sql =>
  sql`format('{"subscription_id":%s,"usage_type":%s,${sql.raw(byDay ? '"day":"%s",' : '')}"total_price":"%s","total_used":"%s","records":%s}',
    to_json(s.subscription_id), to_json(s.usage_type), ${byDay ? sql`s.day,` : sql``} ${amount}, s.total_used, s.records)`;

// What a spreadsheet would take for a formula begins with an apostrophe, as in http/csv.ts.
const defused = (column: Sql): Sql =>
  sql`case when strpos(e'=+-@\\t\\r', left(${column}, 1)) > 0 and ${column} !~ '^[+-]?\\d+(\\.\\d+)?$' then '''' || ${column} else ${column} end`;

const csvCells = (byDay: boolean): Sql =>
  sql`${defused(sql`s.subscription_id`)} as subscription_id, ${defused(sql`s.usage_type`)} as usage_type,
    ${byDay ? sql`s.day,` : sql``} ${amount} as total_price, s.total_used, s.records`;

/**
 * Settings of the session that copies. In the order of the primary key nothing is hashed or sorted, so nothing is spilled and the
 * first lines come at once; the rollup writes in that order, so neighbours in the index are neighbours in the table. The last
 * two let a second core help with sums over the days of one month's partition; a row a day, and days of several partitions, which are
 * merged, are the work of one. (401,000 sums of 2.8 M days: 1.5 s; hashed and sorted 2.7 s.)
 */
export const copySettings = `set enable_hashagg = off; set enable_sort = off; set work_mem = '64MB';
  set parallel_setup_cost = 0; set parallel_tuple_cost = 0`;

/** COPY of all sums in the form of the wire: the database writes the lines, the server only passes them on. */
export function copyMetrics(statement: MetricsStatement, format: StreamFormat): string {
  const { head, body } = sums(statement, { after: null, rows: null, value: asLiteral });
  const line = format === 'csv' ? csvCells(statement.byDay) : jsonLine(statement.byDay);
  const form = format === 'csv' ? sql`format csv, header` : sql`format csv, quote e'\\x01', delimiter e'\\x02'`;
  // Citus merges the rows of its shards in no order but that of the outermost query.
  const order = sql`order by s.subscription_id, s.usage_type ${statement.byDay ? sql`, s.day` : sql``}`;
  return dynamic(
    sql`copy (${head} select ${line} from (${body}) s ${statement.isCitus ? order : sql``}) to stdout (${form})`,
  ).text;
}
