import { formatDay } from '../../core/days.ts';
import { formatInstant } from '../../core/time.ts';
import { type Statement, statement, transpose, withRows } from '../../storage/sql.ts';
import type { BatchId, PlacedRecord } from './usage.ts';
import { usageRecordColumns } from './usage-rows.ts';

export const copyRecords = `copy usage_records (${usageRecordColumns}) from stdin (format binary)`;

/** One a connection; empty again at the end of each transaction. */
export const createStage: Statement<never> = {
  text: 'create temp table if not exists usage_stage (like usage_records) on commit delete rows',
  values: [],
};

export const copyToStage = `copy usage_stage (${usageRecordColumns}) from stdin (format binary)`;

/** One row for each record that was not there, none for the others. In the order in which they were staged. */
export const insertStaged: Statement<null> = {
  text: `insert into usage_records (${usageRecordColumns}) select ${usageRecordColumns} from usage_stage order by ctid
         on conflict do nothing returning bucket`,
  values: [],
  rowOf: () => null,
};

export interface RecordIdentity {
  readonly subscriptionId: string;
  readonly recordId: string;
  readonly day: string;
}

export interface RecordToInsert {
  readonly record: PlacedRecord;
  readonly batchId: BatchId;
}

/** In the order given, whatever the planner would like. @returns those that were not there */
export const insertRecords = (rows: readonly RecordToInsert[]): Statement<RecordIdentity> =>
  withRows(insertInOrder(rows), ([subscriptionId, recordId, day]) => ({
    subscriptionId: subscriptionId ?? '',
    recordId: recordId ?? '',
    day: day ?? '',
  }));

// The day as it is: Citus allows no function there whose answer depends on the session, and the session says YYYY-MM-DD.
const insertInOrder = statement<unknown, [readonly RecordToInsert[]]>(
  'insert_usage_records',
  `insert into usage_records (${usageRecordColumns})
   select batch_id, used, used_at, day, bucket, usage_type, subscription_id, record_id, price
     from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::date[], $5::smallint[], $6::text[], $7::text[], $8::text[],
                 $9::numeric[]) with ordinality
          v (batch_id, used, used_at, day, bucket, usage_type, subscription_id, record_id, price, n)
    order by n
   on conflict do nothing
   returning subscription_id, record_id, day`,
  (rows) =>
    transpose(
      rows.map(({ record, batchId }) => [
        batchId,
        record.used,
        formatInstant(record.usedAt),
        formatDay(record.day),
        record.bucket,
        record.usageType,
        record.subscriptionId,
        record.recordId,
        record.price,
      ]),
      9,
    ),
);
