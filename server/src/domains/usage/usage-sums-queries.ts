import type { RawBuilder } from 'kysely';
import { bucketOf } from '../../core/bucket.ts';
import { formatDay } from '../../core/days.ts';
import { sql } from '../../storage/sql.ts';
import type { UsageSelection } from './usage-read.ts';

type Sql = RawBuilder<unknown>;

/** How values stand in a statement: as parameters, or in its text (COPY takes no parameters). */
export type Value = (value: string | number) => Sql;
export const asParameter: Value = (value) => sql`${value}`;
export const asLiteral: Value = (value) => sql.lit(value);

/** The conditions of a selection on the rows of a table that is called `u`. */
export function selectionOf({ days, usageType, subscriptionId }: UsageSelection, value: Value): Sql[] {
  return [
    ...(subscriptionId === null
      ? []
      : [sql`u.bucket = ${value(bucketOf(subscriptionId))} and u.subscription_id = ${value(subscriptionId)}`]),
    ...(usageType === null ? [] : [sql`u.usage_type = ${value(usageType)}`]),
    ...(days === null
      ? []
      : [sql`u.day between ${value(formatDay(days.from))}::date and ${value(formatDay(days.to))}::date`]),
  ];
}

/** `where a and b`; nothing for no conditions. */
export const where = (conditions: readonly Sql[]): Sql =>
  conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`;

/**
 * `with fresh as (…)`: the sums of the open batches by bucket, subscription, type and, where asked for, day. One statement is one
 * snapshot: a batch counts here or in the sums of the rollup, never in both and never in neither.
 *
 * The bounds let BRIN find the few pages of the open batches; which rows of these count is said by the ledger (`+ 0`: BRIN would
 * search anew for each batch).
 */
export function freshSums(selection: UsageSelection, { byDay, value }: { byDay: boolean; value: Value }): Sql {
  const open = sql`u.batch_id between (select min(batch_id) from open_batches) and (select max(batch_id) from open_batches)
    and (u.batch_id + 0 in (select batch_id from open_batches)) is true`;
  const rows = (table: 'usage_records' | 'usage_adjustments', columns: Sql): Sql =>
    sql`select u.bucket, u.subscription_id, u.usage_type, u.day, ${columns} from ${sql.table(table)} u
         ${where([...selectionOf(selection, value), open])}`;
  const key = byDay ? sql`bucket, subscription_id, usage_type, day` : sql`bucket, subscription_id, usage_type`;
  return sql`with open_batches as materialized (select batch_id from usage_batches where rolled_up_at is null),
    fresh as materialized (
      select ${key}, sum(records)::bigint as records, sum(total_used) as total_used, sum(total_price) as total_price
        from (${rows('usage_records', sql`1 as records, u.used::numeric as total_used, u.price as total_price`)}
              union all
              ${rows('usage_adjustments', sql`u.records_delta, u.used_delta, u.price_delta`)}) u
       group by ${key})`;
}
