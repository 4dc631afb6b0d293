import { type Day, formatDay } from '../../core/days.ts';
import { type Statement, statement } from '../../storage/sql.ts';

/** A sum that is not what its rows say. Amounts as text. */
export interface SumDifference {
  readonly subscriptionId: string;
  readonly usageType: string;
  /** What its rows say. */
  readonly records: string;
  readonly used: string;
  readonly price: string;
  readonly storedRecords: string;
  readonly storedUsed: string;
  readonly storedPrice: string;
}

/** What a comparison of sums found, all as of one moment. */
export interface Comparison {
  readonly sums: bigint;
  readonly rawRows: bigint;
  readonly differences: bigint;
  /** The first `differencesShown` of them. */
  readonly first: readonly SumDifference[] | null;
}

const differencesShown = 100;

/**
 * What the rows of a day say beside what is stored, in one snapshot: batches that are open in it are in neither. A batch that
 * the ledger has forgotten was rolled up long ago. Raw rows that others changed (direct writes) say what will be stored: what is not
 * rolled up of these changes is taken off again.
 */
const changesOfDay = `with open as materialized (select batch_id from usage_batches where rolled_up_at is null),
  changes as (
    select subscription_id, usage_type, bucket, count(*) as records, sum(used) as used, sum(price) as price, count(*) as raw_rows
      from usage_records r
     where day = $1::date and not exists (select from open o where o.batch_id = r.batch_id)
     group by subscription_id, usage_type, bucket
    union all
    select subscription_id, usage_type, bucket, sum(records_delta), sum(used_delta), sum(price_delta), 0
      from usage_adjustments a
     where day = $1::date and source <> 'direct' and not exists (select from open o where o.batch_id = a.batch_id)
     group by subscription_id, usage_type, bucket
    union all
    select subscription_id, usage_type, bucket, -sum(records_delta), -sum(used_delta), -sum(price_delta), 0
      from usage_adjustments a
     where day = $1::date and source = 'direct' and exists (select from open o where o.batch_id = a.batch_id)
     group by subscription_id, usage_type, bucket)`;

/**
 * The same on Citus, where no statement is of one moment. No rollup may run meanwhile (lockRollup); what is written meanwhile is in no
 * batch that the ledger had as rolled up when it was looked at first. A batch with a row of a day that is there is in the ledger.
 */
const changesOfDayOnCitus = `with rolled as materialized (
    select batch_id from usage_batches
     where rolled_up_at is not null and first_day <= $1::date and last_day >= $1::date),
  changes as (
    select subscription_id, usage_type, bucket, count(*) as records, sum(used) as used, sum(price) as price, count(*) as raw_rows
      from usage_records
     where day = $1::date and batch_id in (select batch_id from rolled)
     group by subscription_id, usage_type, bucket
    union all
    select subscription_id, usage_type, bucket, sum(records_delta), sum(used_delta), sum(price_delta), 0
      from usage_adjustments
     where day = $1::date and batch_id in (select batch_id from rolled)
     group by subscription_id, usage_type, bucket)`;

const comparedWith = (changes: string): string => `${changes},
  truth as (
    select subscription_id, usage_type, bucket, sum(records)::bigint as records, sum(used) as used, sum(price) as price,
           sum(raw_rows)::bigint as raw_rows
      from changes group by subscription_id, usage_type, bucket),
  compared as materialized (
    select subscription_id, usage_type, bucket, coalesce(t.raw_rows, 0) as raw_rows,
           coalesce(t.records, 0) as records, coalesce(t.used, 0) as used, coalesce(t.price, 0) as price,
           coalesce(d.records, 0) as stored_records, coalesce(d.total_used, 0) as stored_used, coalesce(d.total_price, 0) as stored_price,
           false as is_misplaced
      from truth t full join (select * from usage_daily where day = $1::date) d using (subscription_id, usage_type, bucket))`;

const daySums = (isCitus: boolean): string => comparedWith(isCitus ? changesOfDayOnCitus : changesOfDay);

/** The totals of some subscriptions beside the sum of all their days, in one snapshot. */
const totalSums = `with truth as (
    select subscription_id, usage_type, bucket, sum(records)::bigint as records, sum(total_used) as used, sum(total_price) as price
      from usage_daily where subscription_id > $1 and ($2::text is null or subscription_id <= $2)
     group by subscription_id, usage_type, bucket),
  compared as materialized (
    select subscription_id, usage_type, bucket, 0 as raw_rows,
           coalesce(t.records, 0) as records, coalesce(t.used, 0) as used, coalesce(t.price, 0) as price,
           coalesce(s.records, 0) as stored_records, coalesce(s.total_used, 0) as stored_used, coalesce(s.total_price, 0) as stored_price,
           coalesce(s.price_level <> usage_price_level(s.total_price), false) as is_misplaced
      from truth t
      full join (select * from usage_totals where subscription_id > $1 and ($2::text is null or subscription_id <= $2)) s
        using (subscription_id, usage_type, bucket))`;

const differs = '(records <> stored_records or used <> stored_used or price <> stored_price or is_misplaced)';

const found = `select count(*) as sums, coalesce(sum(raw_rows), 0)::bigint as "rawRows", count(*) filter (where ${differs}) as differences,
    (select json_agg(f) from (
       select subscription_id as "subscriptionId", usage_type as "usageType", records::text, used::text, price::text,
              stored_records::text as "storedRecords", stored_used::text as "storedUsed", stored_price::text as "storedPrice"
         from compared where ${differs} order by subscription_id, usage_type limit ${differencesShown}) f) as first
  from compared`;

/** Planned anew each time, for the day. */
export const compareDay = (day: Day, isCitus = false): Statement<Comparison> => ({
  text: `${daySums(isCitus)} ${found}`,
  values: [formatDay(day)],
});

/** Subscriptions behind `after` up to `upTo`; null = to the end. '' is before all. */
export const compareTotals = (after: string, upTo: string | null): Statement<Comparison> => ({
  text: `${totalSums} ${found}`,
  values: [after, upTo],
});

// Differences are added, not put in the place of what is stored: whatever a rollup adds meanwhile stays. In the order of its keys.
const addDifferences = (
  table: string,
  columns: string,
  level: { readonly fresh: string; readonly present: string },
): string =>
  `insert into ${table} (${columns}, bucket, usage_type, subscription_id, records, total_used, total_price)
   select ${level.fresh}, bucket, usage_type, subscription_id, records - stored_records, used - stored_used, price - stored_price
     from compared where ${differs} order by subscription_id, usage_type
   on conflict (subscription_id, usage_type, ${table === 'usage_daily' ? 'day, ' : ''}bucket) do update
      set records = ${table}.records + excluded.records, total_used = ${table}.total_used + excluded.total_used,
          total_price = ${table}.total_price + excluded.total_price${level.present}
   returning null`;

/** A row for each sum that was put right. */
export const mendDay = (day: Day, isCitus = false): Statement<null> => ({
  text: `${daySums(isCitus)} ${addDifferences('usage_daily', 'day', { fresh: '$1::date', present: '' })}`,
  values: [formatDay(day)],
  rowOf: () => null,
});

export const mendTotals = (after: string, upTo: string | null): Statement<null> => ({
  text: `${totalSums} ${addDifferences('usage_totals', 'price_level', {
    fresh: 'usage_price_level(price - stored_price)',
    present: ', price_level = usage_price_level(usage_totals.total_price + excluded.total_price)',
  })}`,
  values: [after, upTo],
  rowOf: () => null,
});

// Class of the advisory locks of the rollup and of those who look after sums and days; fixed for ever.
const usageLock = 1_835_625_067;

/** Two who put the same sums right would add each difference twice. Until the transaction ends. */
export const lockMending = statement<{ got: string }>(
  'lock_usage_mending',
  `select pg_advisory_xact_lock(${usageLock}, 1)::text as got`,
);

/** The last subscription of the next `limit` totals behind one. */
export const endOfTotals = statement<{ subscriptionId: string }, [string, number]>(
  'end_of_usage_totals',
  `select subscription_id as "subscriptionId" from usage_totals where subscription_id > $1
    order by subscription_id offset $2 limit 1`,
  (after, limit) => [after, limit - 1],
);

export const countTotalsUpTo = statement<{ rows: bigint }, [number]>(
  'count_usage_totals',
  'select count(*) as rows from (select 1 from usage_totals limit $1) t',
  (limit) => [limit],
);

export const plannedTotals = statement<{ rows: bigint }>(
  'planned_usage_totals',
  `select greatest(reltuples, 0)::bigint as rows from pg_class where oid = 'usage_totals'::regclass`,
);
