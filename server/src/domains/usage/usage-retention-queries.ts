import { type Day, formatDay, startOfDay } from '../../core/days.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { type Statement, statement } from '../../storage/sql.ts';

// Class of the advisory locks about usage; fixed for ever.
const usageLock = 1_835_625_067;

/** Held by the connection: one process at a time takes raw days out. */
export const tryLockRetention = statement<{ got: boolean }>(
  'try_lock_usage_retention',
  `select pg_try_advisory_lock(${usageLock}, 2) as got`,
);

/**
 * Waits for those who hold the horizon, and makes newcomers wait for it: a row lock alone would be passed by ever new readers
 * that share it.
 */
export const lockHorizonTable: Statement<never> = { text: 'lock table usage_horizon in exclusive mode', values: [] };

/** Closes the days before `before` for ever. No row: they are closed already. */
export const closeDays = statement<{ singleton: boolean }, [Day, Instant]>(
  'close_usage_days',
  `update usage_horizon set raw_from = greatest(raw_from, $1::date), dropped_before = $1::date, moved_at = $2
    where singleton and (dropped_before is null or dropped_before < $1::date)
   returning singleton`,
  (before, now) => [formatDay(before), formatInstant(now)],
);

/** Open batches that may have rows of days before `before`. */
export const openBatchesBefore = statement<{ batches: bigint; oldest: string | null }, [Day]>(
  'open_usage_batches_before',
  `select count(*) as batches, min(batch_id)::text as oldest from usage_batches where rolled_up_at is null and first_day < $1::date`,
  (before) => [formatDay(before)],
);

export interface DayCheck {
  readonly day: Day;
  readonly rawRows: bigint;
  readonly differences: bigint;
  readonly checkedAt: Instant;
  readonly actor: string;
}

export const recordCheck = statement<never, [DayCheck]>(
  'record_usage_day_check',
  `insert into usage_day_drops (day, raw_rows, differences, checked_at, actor) values ($1::date, $2, $3, $4, $5)
   on conflict (day) do update set raw_rows = excluded.raw_rows, differences = excluded.differences,
     checked_at = excluded.checked_at, actor = excluded.actor`,
  ({ day, rawRows, differences, checkedAt, actor }) => [
    formatDay(day),
    rawRows,
    differences,
    formatInstant(checkedAt),
    actor,
  ],
);

export const markDropped = statement<{ rawRows: bigint }, [Day, Instant]>(
  'mark_usage_day_dropped',
  `update usage_day_drops set dropped_at = $2 where day = $1::date returning raw_rows as "rawRows"`,
  (day, now) => [formatDay(day), formatInstant(now)],
);

/** Days that passed their check and are not gone yet: somebody was ended on the way. */
export const checkedDays = statement<{ day: string }>(
  'checked_usage_days',
  `select to_char(day, 'YYYY-MM-DD') as day from usage_day_drops where dropped_at is null and differences = 0 order by day`,
);

/** Forgets batches all whose days lie before `before`, some at a time. */
export const forgetBatches = statement<{ batchId: bigint }, [Day, number]>(
  'forget_usage_batches',
  `delete from usage_batches where batch_id in (
     select batch_id from usage_batches
      where (last_day < $1::date or last_day is null) and rolled_up_at is not null and created_at < $2 limit $3)
   returning batch_id as "batchId"`,
  (before, limit) => [formatDay(before), formatInstant(startOfDay(before)), limit],
);
