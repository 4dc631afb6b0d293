import { type Day, formatDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import { statement } from '../../storage/sql.ts';
import type { BatchId } from './usage.ts';
import type { StoredOutcome } from './usage-ledger-queries.ts';

export interface LedgerRow {
  readonly batchId: BatchId;
  readonly kind: 'records' | 'adjustments' | 'direct';
  readonly part: number;
  readonly rows: number;
  readonly outcome: StoredOutcome | null;
  readonly firstDay: string | null;
  readonly lastDay: string | null;
  readonly createdAt: Instant;
  readonly rolledUpAt: Instant | null;
}

export const selectBatch = statement<LedgerRow, [BatchId]>(
  'usage_batch',
  `select b.batch_id as "batchId", b.kind, b.part, b.rows, b.outcome, to_char(b.first_day, 'YYYY-MM-DD') as "firstDay",
          to_char(b.last_day, 'YYYY-MM-DD') as "lastDay", b.created_at as "createdAt", b.rolled_up_at as "rolledUpAt"
     from usage_batches b where b.batch_id = $1`,
  (batchId) => [batchId],
);

/** One row when the day has raw rows. Asks the partition of the day for any of them. */
export const someRecordOf = statement<{ day: string }, [Day]>(
  'some_usage_record_of_day',
  `select to_char(r.day, 'YYYY-MM-DD') as "day" from usage_records r where r.day = $1::date limit 1`,
  (day) => [formatDay(day)],
);
