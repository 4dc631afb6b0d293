import { type Day, formatDay } from '../../core/days.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { type Statement, statement } from '../../storage/sql.ts';
import type { BatchId } from './usage.ts';

// Class of the advisory lock; fixed for ever: processes of two versions must agree.
const rollupLock = 1_835_625_067;

/** Held until the transaction ends: one rollup at a time in the whole cluster. */
export const lockRollup = statement<{ got: string }>(
  'lock_usage_rollup',
  `select pg_advisory_xact_lock(${rollupLock}, 0)::text as got`,
);

export const tryLockRollup = statement<{ got: boolean }>(
  'try_lock_usage_rollup',
  `select pg_try_advisory_xact_lock(${rollupLock}, 0) as got`,
);

export interface ClaimedBatch {
  readonly batchId: BatchId;
  readonly kind: 'records' | 'adjustments' | 'direct';
  readonly rows: number;
  readonly firstDay: string | null;
  readonly lastDay: string | null;
  readonly createdAt: Instant;
}

/** Open batches, oldest first; those that somebody else holds are left to the next time. */
export const claimBatches = statement<ClaimedBatch, [number]>(
  'claim_usage_batches',
  `select batch_id as "batchId", kind, rows, to_char(first_day, 'YYYY-MM-DD') as "firstDay", to_char(last_day, 'YYYY-MM-DD') as "lastDay",
          created_at as "createdAt"
     from usage_batches where rolled_up_at is null order by batch_id limit $1 for update skip locked`,
  (limit) => [limit],
);

export interface Claim {
  readonly batchIds: readonly BatchId[];
  readonly days: readonly [Day, Day];
}

// `batch_id + 0` keeps the list out of the index: BRIN would search once for each of its batches. The bounds are what it is good at.
const rawRows = `select subscription_id, usage_type, day, bucket, count(*) as records, sum(used) as used, sum(price) as price
    from usage_records
   where batch_id between $1 and $2 and batch_id + 0 = any($3::bigint[]) and day between $4::date and $5::date
   group by subscription_id, usage_type, day, bucket`;

const adjustmentRows = `select subscription_id, usage_type, day, bucket, sum(records_delta) as records, sum(used_delta) as used,
         sum(price_delta) as price
    from usage_adjustments
   where batch_id between $1 and $2 and batch_id = any($3::bigint[]) and day between $4::date and $5::date
   group by subscription_id, usage_type, day, bucket`;

// Ordered by key: two rollups at once (a lock that was lost) wait for each other and never in a circle; and neighbours meet.
const intoDaily = (sums: string): string => `insert into usage_daily
    (day, bucket, usage_type, subscription_id, records, total_used, total_price)
  select day, bucket, usage_type, subscription_id, records, used, price from ${sums} s
   order by subscription_id, usage_type, day
  on conflict (subscription_id, usage_type, day, bucket) do update
     set records = usage_daily.records + excluded.records, total_used = usage_daily.total_used + excluded.total_used,
         total_price = usage_daily.total_price + excluded.total_price`;

const intoTotals = (sums: string): string => `insert into usage_totals
    (bucket, price_level, usage_type, subscription_id, records, total_used, total_price)
  select bucket, usage_price_level(sum(price)), usage_type, subscription_id, sum(records), sum(used), sum(price) from ${sums} s
   group by subscription_id, usage_type, bucket order by subscription_id, usage_type
  on conflict (subscription_id, usage_type, bucket) do update
     set records = usage_totals.records + excluded.records, total_used = usage_totals.total_used + excluded.total_used,
         total_price = usage_totals.total_price + excluded.total_price,
         price_level = usage_price_level(usage_totals.total_price + excluded.total_price)`;

const valuesOf = ({ batchIds, days: [first, last] }: Claim): unknown[] => [
  batchIds[0],
  batchIds[batchIds.length - 1],
  batchIds,
  formatDay(first),
  formatDay(last),
];

/** What of a claim is summed. */
export type Summand = 'records' | 'adjustments';

/**
 * Adds the rows of the claim to the sums, in one pass over them. `apart`: in one statement for each table of sums, as Citus wants
 * it. Planned anew each time, for the days and bounds of this claim.
 */
export function addToSums(claim: Claim, summand: Summand, apart: boolean): Statement<never>[] {
  const rows = summand === 'records' ? rawRows : adjustmentRows;
  const values = valuesOf(claim);
  if (apart) return [intoDaily(`(${rows})`), intoTotals(`(${rows})`)].map((text) => ({ text, values }));
  return [
    { text: `with sums as materialized (${rows}), daily as (${intoDaily('sums')}) ${intoTotals('sums')}`, values },
  ];
}

/** How many rows of each batch of the claim are visible; on Citus a worker may be behind. */
export const countClaimed = (claim: Claim, summand: Summand): Statement<{ batchId: BatchId; rows: bigint }> => ({
  text: `select batch_id as "batchId", count(*) as rows from usage_${summand}
    where batch_id between $1 and $2 and batch_id + 0 = any($3::bigint[]) and day between $4::date and $5::date group by batch_id`,
  values: valuesOf(claim),
});

export const markRolledUp = statement<{ batchId: BatchId }, [readonly BatchId[], Instant]>(
  'mark_usage_batches',
  'update usage_batches set rolled_up_at = $2 where batch_id = any($1::bigint[]) returning batch_id as "batchId"',
  (batchIds, at) => [batchIds, formatInstant(at)],
);

/** Takes note of the pages that were written since the last time, so that the next rollup need not look into them. */
export const summariseIndex = (index: string): Statement<{ pages: number }> => ({
  text: 'select brin_summarize_new_values($1::regclass) as pages',
  values: [index],
});

/** Whether a partition of raw rows was analysed. */
export const findAnalysed = statement<{ found: number }, [string]>(
  'find_analysed_usage_day',
  `select 1 as found from pg_stats where schemaname = current_schema() and tablename = $1 and attname = 'batch_id'`,
  (table) => [table],
);

/** Tells the planner how the batches of a partition lie. The other columns are left to autovacuum. */
export const analyseBatches = (table: string): Statement<never> => ({
  text: `analyze ${table} (batch_id)`,
  values: [],
});
