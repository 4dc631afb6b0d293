import type { RawBuilder } from 'kysely';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import type { OverLimitQuery } from './usage-read.ts';
import { asParameter, freshSums, selectionOf, where } from './usage-sums-queries.ts';

type Sql = RawBuilder<unknown>;

/** Types and amounts in the order of the types. */
export interface OverLimitRow {
  readonly subscriptionId: string;
  readonly usageTypes: readonly string[];
  readonly totalPrices: readonly string[];
  readonly exceededBy: readonly string[];
}

export interface OverLimitStatement extends Pick<OverLimitQuery, 'selection' | 'priceLimit' | 'fresh'> {
  /** The last subscription of the page before. */
  readonly after: string | null;
  readonly rows: number;
}

/**
 * Subscriptions behind `after` that have reached the limit, in the order of their ids. The values stand beside the statement but
 * it is planned anew each time: whether few have reached the limit (the index of the levels finds them) or most have (the primary
 * key has them in order) depends on the limit.
 */
export function overLimitPage(statement: OverLimitStatement): Statement<OverLimitRow> {
  const { selection, priceLimit, fresh, rows } = statement;
  const limit = sql`${priceLimit}::numeric`;
  const head = fresh ? freshSums(selection, { byDay: false, value: asParameter }) : sql``;
  const reached = selection.days === null ? ofAllTime(statement, limit) : ofDays(statement, limit);
  return dynamic(sql<OverLimitRow>`${head}
    select subscription_id as "subscriptionId", array_agg(usage_type order by usage_type) as "usageTypes",
           array_agg(total_price::text order by usage_type) as "totalPrices",
           array_agg((total_price - ${limit})::text order by usage_type) as "exceededBy"
      from (${reached}) s
     group by subscription_id, bucket order by subscription_id limit ${sql.lit(rows)}`);
}

function conditionsOf({ selection, after }: OverLimitStatement): Sql[] {
  return [...selectionOf(selection, asParameter), ...(after === null ? [] : [sql`u.subscription_id > ${after}`])];
}

// With a limit of 0 whoever has usage has reached it, and whoever has none has not.
const isSomething = sql`(u.records <> 0 or u.total_used <> 0 or u.total_price <> 0)`;
const isSomethingTogether = sql`(sum(u.records) <> 0 or sum(u.total_used) <> 0 or sum(u.total_price) <> 0)`;

/**
 * From the totals. With `fresh`, those that have reached the limit already, those that the open batches touch, and the open
 * batches themselves: whoever is in none of these is below the limit.
 */
function ofAllTime(statement: OverLimitStatement, limit: Sql): Sql {
  const conditions = conditionsOf(statement);
  const level = sql`usage_price_level(${limit})`;
  const columns = sql`u.subscription_id, u.usage_type, u.bucket, u.records, u.total_used, u.total_price`;
  if (!statement.fresh) {
    return sql`select ${columns} from usage_totals u
      ${where([...conditions, sql`u.price_level >= ${level} and u.total_price >= ${limit} and ${isSomething}`])}`;
  }
  return together(
    limit,
    sql`select ${columns} from usage_totals u ${where([...conditions, sql`u.price_level >= ${level}`])}
        union all
        select ${columns} from usage_totals u join fresh f using (bucket, subscription_id, usage_type)
         ${where([...conditions, sql`u.price_level < ${level}`])}
        union all
        select ${columns} from fresh u ${where(behind(statement))}`,
  );
}

function ofDays(statement: OverLimitStatement, limit: Sql): Sql {
  const columns = sql`u.subscription_id, u.usage_type, u.bucket, u.records, u.total_used, u.total_price`;
  const days = sql`select ${columns} from usage_daily u ${where(conditionsOf(statement))}`;
  return together(
    limit,
    statement.fresh ? sql`${days} union all select ${columns} from fresh u ${where(behind(statement))}` : days,
  );
}

const behind = ({ after }: OverLimitStatement): Sql[] => (after === null ? [] : [sql`u.subscription_id > ${after}`]);

const together = (limit: Sql, parts: Sql): Sql =>
  sql`select u.subscription_id, u.usage_type, u.bucket, sum(u.total_price) as total_price from (${parts}) u
       group by u.subscription_id, u.usage_type, u.bucket
      having sum(u.total_price) >= ${limit} and ${isSomethingTogether}`;
