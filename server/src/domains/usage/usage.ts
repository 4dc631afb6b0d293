import type { Bucket } from '../../core/bucket.ts';
import type { Day } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';

/** A batch of the ledger: milliseconds since 2020 and 22 bits that differ. Text in JSON. */
export type BatchId = bigint & { readonly __brand: 'BatchId' };

/** An exact decimal of up to 6 places, as PostgreSQL's numeric writes it: `12.34`. Never a float. */
export type Decimal = string & { readonly __brand: 'Decimal' };

/** One raw record. Its identity is (subscriptionId, recordId, day). */
export interface UsageRecord {
  readonly subscriptionId: string;
  readonly recordId: string;
  readonly usageType: string;
  readonly usedAt: Instant;
  /** In the unit of its type, 0 to 2^63 - 1. */
  readonly used: bigint;
  readonly price: Decimal;
}

/** A record with what is computed of it. */
export interface PlacedRecord extends UsageRecord {
  readonly day: Day;
  readonly bucket: Bucket;
}

/** What can be used, and in which unit. */
export interface UsageType {
  readonly usageType: string;
  readonly unit: string;
}

/** Why a single record was refused. */
export type RecordRejectionCode =
  | 'invalid_input'
  | 'malformed_json'
  | 'malformed_row'
  | 'invalid_utf8'
  | 'line_too_long'
  | 'unknown_usage_type'
  | 'in_future'
  | 'too_old'
  | 'usage_refused';

export interface RecordRejection {
  /** Of the body, counted from 1; of an array, its element. */
  readonly line: number;
  readonly code: RecordRejectionCode;
  readonly detail: string;
}

/** What became of a batch: what its sender is told, now and whenever it sends the same again. */
export interface BatchOutcome {
  readonly batchId: BatchId;
  /** Records stored now or, of a replayed batch, then. */
  readonly accepted: number;
  /** Records that were there already: the first one won. */
  readonly duplicates: number;
  readonly rejectedRows: number;
  /** The first `maxRejectionsKept` of them. */
  readonly rejected: readonly RecordRejection[];
  /** The producer key was known: nothing was written now. */
  readonly replayed: boolean;
}

export const maxRejectionsKept = 1_000;

/** Codes of whole requests; those of single records are RecordRejectionCode. */
export type UsageErrorCode =
  | 'batch_key_reused'
  | 'usage_batch_not_found'
  | 'usage_not_rolled_up'
  | 'usage_record_not_found'
  | 'usage_record_deleted'
  | 'usage_revision_conflict'
  | 'usage_key_reused'
  | 'usage_below_zero'
  | 'usage_type_unknown'
  | 'usage_refused'
  | 'subscription_not_found'
  | 'subscription_exists'
  | 'in_future'
  | 'too_old'
  | 'raw_dropped'
  | 'raw_kept';

/** Usage later than this after now is refused: the sender's clock is wrong. */
export const maxAheadMs = 5 * 60_000;
