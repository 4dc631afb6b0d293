import { bucketOf } from '../../core/bucket.ts';
import { formatDay } from '../../core/days.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { inBucket, type Statement, statement } from '../../storage/sql.ts';
import { formatAmount, formatMicros } from './decimal.ts';
import type { BatchId } from './usage.ts';
import type { Difference, RecordIdentity, RecordState, Revision } from './usage-correction.ts';

interface RawRow {
  readonly usageType: string;
  readonly usedAt: Instant;
  readonly used: bigint;
  readonly price: string;
  readonly batchId: BatchId;
}

const identityValues = ({ subscriptionId, recordId, day }: RecordIdentity): unknown[] => [
  bucketOf(subscriptionId),
  subscriptionId,
  recordId,
  formatDay(day),
];

const isIdentity = 'bucket = $1 and subscription_id = $2 and record_id = $3 and day = $4::date';

const rawRecord = `select usage_type as "usageType", used_at as "usedAt", used, price::text as price, batch_id as "batchId"
    from usage_records where ${isIdentity}`;

/** A record as it was sent. */
const rawRecordOf = statement<RawRow, [RecordIdentity]>('usage_record', rawRecord, identityValues);

export const selectRecord = (identity: RecordIdentity): Statement<RawRow> =>
  inBucket(rawRecordOf(identity), bucketOf(identity.subscriptionId));

/** The same, held until the transaction ends: corrections of one record wait for each other here. */
export const lockRecord = statement<RawRow, [RecordIdentity]>(
  'lock_usage_record',
  `${rawRecord} for update`,
  identityValues,
);

export const sentStateOf = ({ subscriptionId }: RecordIdentity, row: RawRow): RecordState => ({
  subscriptionId,
  usageType: row.usageType,
  usedAt: row.usedAt,
  used: row.used,
  price: formatAmount(row.price),
  deleted: false,
});

interface RevisionRow {
  readonly revision: number;
  readonly deleted: boolean;
  readonly subscriptionId: string;
  readonly usageType: string;
  readonly usedAt: Instant;
  readonly used: bigint;
  readonly price: string;
  readonly reason: string | null;
  readonly actor: string;
  readonly recordedAt: Instant;
  readonly contentHash: Buffer;
  readonly batchId: BatchId;
}

/** A revision with the hash of what was asked for. */
export interface StoredRevision extends Revision {
  readonly contentHash: Buffer;
}

const revisionColumns = `revision, deleted, new_subscription_id as "subscriptionId", new_usage_type as "usageType",
  new_used_at as "usedAt", new_used as used, new_price::text as price, reason, actor, recorded_at as "recordedAt",
  content_hash as "contentHash", batch_id as "batchId"`;

/** The latest revisions, newest first. */
export const selectRevisions = statement<RevisionRow, [RecordIdentity, number]>(
  'usage_revisions',
  `select ${revisionColumns} from usage_corrections where ${isIdentity} order by revision desc limit $5`,
  (identity, limit) => [...identityValues(identity), limit],
);

export const selectRevision = statement<RevisionRow, [RecordIdentity, number]>(
  'usage_revision',
  `select ${revisionColumns} from usage_corrections where ${isIdentity} and revision = $5`,
  (identity, revision) => [...identityValues(identity), revision],
);

export const revisionOf = (row: RevisionRow): StoredRevision => ({
  revision: row.revision,
  state: {
    subscriptionId: row.subscriptionId,
    usageType: row.usageType,
    usedAt: row.usedAt,
    used: row.used,
    price: formatAmount(row.price),
    deleted: row.deleted,
  },
  reason: row.reason,
  actor: row.actor,
  recordedAt: row.recordedAt,
  contentHash: row.contentHash,
  batchId: row.batchId,
});

export const insertRevision = statement<never, [RecordIdentity, StoredRevision]>(
  'insert_usage_revision',
  `insert into usage_corrections (bucket, subscription_id, record_id, day, revision, deleted, new_subscription_id, new_usage_type,
     new_used_at, new_used, new_price, reason, actor, recorded_at, content_hash, batch_id)
   values ($1, $2, $3, $4::date, $5, $6, $7, $8, $9, $10, $11::numeric, $12, $13, $14, $15, $16)`,
  (identity, { revision, state, reason, actor, recordedAt, contentHash, batchId }) => [
    ...identityValues(identity),
    revision,
    state.deleted,
    state.subscriptionId,
    state.usageType,
    formatInstant(state.usedAt),
    state.used,
    state.price,
    reason,
    actor,
    formatInstant(recordedAt),
    contentHash,
    batchId,
  ],
);

/** A row of usage_adjustments. */
export interface DifferenceRow extends Difference {
  readonly batchId: BatchId;
  readonly source: 'correction' | 'adjustment';
  readonly reference: string;
  readonly revision: number;
  readonly reason: string | null;
  readonly actor: string;
  readonly recordedAt: Instant;
  readonly contentHash: Buffer | null;
}

/** @returns nothing when there is such a row already */
export const insertDifference = statement<{ batchId: BatchId }, [DifferenceRow]>(
  'insert_usage_difference',
  `insert into usage_adjustments (batch_id, day, bucket, side, revision, records_delta, usage_type, subscription_id, source, reference,
     used_delta, price_delta, reason, actor, recorded_at, content_hash)
   values ($1, $2::date, $3, $4, $5, $6, $7, $8, $9, $10, $11::numeric, $12::numeric, $13, $14, $15, $16)
   on conflict do nothing returning batch_id as "batchId"`,
  (row) => [
    row.batchId,
    formatDay(row.day),
    bucketOf(row.subscriptionId),
    row.side,
    row.revision,
    row.records,
    row.usageType,
    row.subscriptionId,
    row.source,
    row.reference,
    row.used,
    formatMicros(row.priceMicros),
    row.reason,
    row.actor,
    formatInstant(row.recordedAt),
    row.contentHash,
  ],
);

interface AdjustmentRow {
  readonly usageType: string;
  readonly day: string;
  readonly usedDelta: string;
  readonly priceDelta: string;
  readonly reason: string;
  readonly actor: string;
  readonly recordedAt: Instant;
  readonly contentHash: Buffer;
  readonly batchId: BatchId;
}

export const selectAdjustment = statement<AdjustmentRow, [string, string]>(
  'usage_adjustment',
  `select usage_type as "usageType", to_char(day, 'YYYY-MM-DD') as day, used_delta::text as "usedDelta",
          price_delta::text as "priceDelta", reason, actor, recorded_at as "recordedAt", content_hash as "contentHash",
          batch_id as "batchId"
     from usage_adjustments where bucket = $1 and subscription_id = $2 and source = 'adjustment' and reference = $3`,
  (subscriptionId, adjustmentId) => [bucketOf(subscriptionId), subscriptionId, adjustmentId],
);

type SumPlace = Pick<Difference, 'subscriptionId' | 'usageType' | 'day'>;

/** Whether an adjustment took something from a sum: only then a correction could take more than there is. */
export const findTaking = statement<{ batchId: BatchId }, [SumPlace]>(
  'usage_adjustment_that_takes',
  `select batch_id as "batchId" from usage_adjustments
    where bucket = $1 and subscription_id = $2 and source = 'adjustment' and usage_type = $3 and day = $4::date
      and (used_delta < 0 or price_delta < 0) limit 1`,
  ({ subscriptionId, usageType, day }) => [bucketOf(subscriptionId), subscriptionId, usageType, formatDay(day)],
);

// Class of the advisory lock; fixed for ever: processes of two versions must agree. (The rollup has the one before.)
const takingLock = 1_835_625_068;

/** Until the transaction ends, nobody else takes from this sum. */
export const lockTaking = ({ subscriptionId, usageType, day }: SumPlace): Statement<{ got: string }> => ({
  text: `select pg_advisory_xact_lock(${takingLock}, hashtext($1))::text as got`,
  values: [JSON.stringify([subscriptionId, usageType, formatDay(day)])],
});

/** The same on Citus, whichever node it is sent to: where that table is, the lock is taken. */
export const lockTakingOnCitus = (place: SumPlace): Statement<{ got: string }> => {
  const { text, values } = lockTaking(place);
  return { text: `${text} from usage_horizon where singleton`, values };
};

/** The highest number of an open batch. */
export const selectHighestOpen = statement<{ batchId: BatchId | null }>(
  'highest_open_usage_batch',
  'select max(batch_id) as "batchId" from usage_batches where rolled_up_at is null',
);

export interface UsageAuditEntry {
  readonly actor: string;
  readonly action: 'usage.correct' | 'usage.delete' | 'usage.adjust';
  readonly subject: string;
  readonly facts: object;
}

export const insertUsageAudit = statement<never, [UsageAuditEntry]>(
  'insert_usage_audit',
  'insert into audit_log (actor, action, subject, facts) values ($1, $2, $3, $4)',
  ({ actor, action, subject, facts }) => [actor, action, subject, JSON.stringify(facts)],
);
