import { type Day, formatDay, parseDay } from '../../core/days.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { statement, transpose } from '../../storage/sql.ts';
import type { BatchId, RecordRejection } from './usage.ts';

/** What is stored of an answer, to be given again. */
export interface StoredOutcome {
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejectedRows: number;
  readonly rejected: readonly RecordRejection[];
}

/** A row of the ledger as it is written. */
export interface NewBatch {
  readonly batchId: BatchId;
  readonly kind: 'records' | 'adjustments';
  readonly actor: string;
  readonly producerKey: string | null;
  readonly part: number;
  readonly contentHash: Buffer | null;
  readonly rows: number;
  /** null = nobody will ask for it */
  readonly outcome: StoredOutcome | null;
  readonly days: readonly [Day, Day] | null;
  readonly createdAt: Instant;
}

const hex = (bytes: Buffer | null): string | null => (bytes === null ? null : `\\x${bytes.toString('hex')}`);

// DO NOTHING: a key that is there is a replay or another content; the caller looks at what is not returned.
export const insertBatches = statement<{ batchId: BatchId }, [readonly NewBatch[]]>(
  'insert_usage_batches',
  `insert into usage_batches (batch_id, kind, actor, producer_key, part, content_hash, rows, outcome, first_day, last_day, created_at)
   select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::bytea[], $7::integer[], $8::jsonb[],
                        $9::date[], $10::date[], $11::timestamptz[])
   on conflict do nothing returning batch_id as "batchId"`,
  (batches) =>
    transpose(
      batches.map((batch) => [
        batch.batchId,
        batch.kind,
        batch.actor,
        batch.producerKey,
        batch.part,
        hex(batch.contentHash),
        batch.rows,
        batch.outcome === null ? null : JSON.stringify(batch.outcome),
        batch.days === null ? null : formatDay(batch.days[0]),
        batch.days === null ? null : formatDay(batch.days[1]),
        formatInstant(batch.createdAt),
      ]),
      11,
    ),
);

export interface StoredBatch {
  readonly batchId: BatchId;
  readonly actor: string;
  readonly producerKey: string | null;
  readonly part: number;
  readonly contentHash: Buffer | null;
  readonly outcome: StoredOutcome | null;
}

/** The batches that have these ids or these keys. */
export const selectBatches = statement<StoredBatch, [readonly NewBatch[]]>(
  'select_usage_batches',
  `select b.batch_id as "batchId", b.actor, b.producer_key as "producerKey", b.part, b.content_hash as "contentHash", b.outcome
     from usage_batches b
    where b.batch_id = any($1::bigint[])
       or (b.actor, b.producer_key, b.part) in (select * from unnest($2::text[], $3::text[], $4::integer[]))`,
  (batches) =>
    transpose(
      batches.map(({ batchId, actor, producerKey, part }) => [batchId, actor, producerKey, part]),
      4,
    ),
);

/** What really became of a batch, when that differs from what was written first. */
export const correctBatches = statement<
  { batchId: BatchId },
  [readonly { readonly batchId: BatchId; readonly rows: number; readonly outcome: StoredOutcome | null }[]]
>(
  'correct_usage_batches',
  `update usage_batches b set rows = v.rows, outcome = v.outcome
     from unnest($1::bigint[], $2::integer[], $3::jsonb[]) v (batch_id, rows, outcome)
    where b.batch_id = v.batch_id returning b.batch_id as "batchId"`,
  (batches) =>
    transpose(
      batches.map(({ batchId, rows, outcome }) => [batchId, rows, outcome === null ? null : JSON.stringify(outcome)]),
      3,
    ),
);

interface HorizonRow {
  readonly rawFrom: string;
  readonly droppedBefore: string | null;
}

const horizonColumns = `to_char(raw_from, 'YYYY-MM-DD') as "rawFrom", to_char(dropped_before, 'YYYY-MM-DD') as "droppedBefore"`;

/** Holds the horizon where it is until the transaction ends. */
export const lockHorizon = statement<HorizonRow>(
  'lock_usage_horizon',
  `select ${horizonColumns} from usage_horizon where singleton for share`,
);

export const selectHorizon = statement<HorizonRow>(
  'usage_horizon',
  `select ${horizonColumns} from usage_horizon where singleton`,
);

/** Where a new database begins; leaves one alone that has begun. */
export const beginHorizon = statement<{ singleton: boolean }, [Day, Instant]>(
  'begin_usage_horizon',
  `insert into usage_horizon (singleton, raw_from, moved_at) values (true, $1::date, $2) on conflict do nothing
   returning singleton`,
  (day, now) => [formatDay(day), formatInstant(now)],
);

/** Moves the horizon back, never behind days whose raw rows were dropped. */
export const moveHorizonBack = statement<{ singleton: boolean }, [Day, Instant]>(
  'move_usage_horizon_back',
  `update usage_horizon set raw_from = $1::date, moved_at = $2
    where singleton and raw_from > $1::date and (dropped_before is null or dropped_before <= $1::date)
   returning singleton`,
  (day, now) => [formatDay(day), formatInstant(now)],
);

/** From which day on raw usage is taken, and where nobody may move that back behind. */
export interface Horizon {
  readonly rawFrom: Day;
  readonly droppedBefore: Day | null;
}

export function horizonOf(row: HorizonRow | undefined): Horizon {
  const rawFrom = row === undefined ? null : parseDay(row.rawFrom);
  if (row === undefined || rawFrom === null) throw new RangeError('The usage horizon is missing.');
  return { rawFrom, droppedBefore: row.droppedBefore === null ? null : parseDay(row.droppedBefore) };
}

export const selectTypes = statement<{ usageType: string; unit: string }>(
  'usage_types',
  'select usage_type as "usageType", unit from usage_types order by usage_type',
);

export const insertType = statement<{ usageType: string }, [string, string]>(
  'insert_usage_type',
  `insert into usage_types (usage_type, unit) values ($1, $2)
   on conflict (usage_type) do nothing returning usage_type as "usageType"`,
  (usageType, unit) => [usageType, unit],
);

export interface OpenSummary {
  readonly openBatches: bigint;
  readonly openRows: bigint;
  readonly oldestOpenAt: Instant | null;
}

const openSummary = `count(*) as "openBatches", coalesce(sum(rows), 0)::bigint as "openRows", min(created_at) as "oldestOpenAt"`;

export const selectOpenSummary = statement<OpenSummary>(
  'usage_open_batches',
  `select ${openSummary} from usage_batches where rolled_up_at is null`,
);

export const selectBatchState = statement<{ rolledUp: boolean }, [BatchId]>(
  'usage_batch_state',
  'select rolled_up_at is not null as "rolledUp" from usage_batches where batch_id = $1',
  (batchId) => [batchId],
);

// Class of the advisory locks about usage; fixed for ever.
const usageLock = 1_835_625_067;

/*
 * On Citus a commit reaches one node after another: the ledger, on the coordinator, says "rolled up" a moment before the last node
 * shows the sums. A rollup holds a lock of the coordinator while it commits; whoever waits for it shared sees all of a rollup or
 * nothing. The statements that wait name a table of the coordinator, so that they are run there, whichever node they are sent to.
 */
const untilCommitted = `pg_advisory_xact_lock_shared(${usageLock}, 3)::text as settled`;

/** On Citus, last in the transaction of a rollup: it waits for those who read now. */
export const lockSums = statement<{ got: string }>(
  'lock_usage_sums',
  `select pg_advisory_xact_lock(${usageLock}, 3)::text as got`,
);

/** On Citus: no rollup commits before the transaction ends. For what reads the ledger and the sums together. */
export const holdSums = statement<{ settled: string }>(
  'hold_usage_sums',
  `select ${untilCommitted} from usage_horizon where singleton`,
);

/** The same until the session ends, which must be one of the coordinator. */
export const holdSumsOfSession = statement<{ got: string }>(
  'hold_usage_sums_of_session',
  `select pg_advisory_lock_shared(${usageLock}, 3)::text as got`,
);

// The ledger is looked at first, then the lock is waited for: what was rolled up at that look is in the sums now.
export const selectSettledSummary = statement<OpenSummary>(
  'usage_open_batches_settled',
  `select ${openSummary}, ${untilCommitted} from usage_batches where rolled_up_at is null`,
);

export const selectSettledBatchState = statement<{ rolledUp: boolean }, [BatchId]>(
  'usage_batch_state_settled',
  `select rolled_up_at is not null as "rolledUp", ${untilCommitted} from usage_batches where batch_id = $1`,
  (batchId) => [batchId],
);
