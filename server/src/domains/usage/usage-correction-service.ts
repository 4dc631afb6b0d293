import { type Day, dayOf, formatDay, startOfDay } from '../../core/days.ts';
import { DomainError } from '../../core/errors.ts';
import { formatInstant, monthOf } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { ensureDailyMonths } from '../../storage/day-partitions.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type BatchId, maxAheadMs, type UsageErrorCode } from './usage.ts';
import type { Adjustment } from './usage-adjustment.ts';
import {
  type AdjustmentOutcome,
  adjustUsage,
  checkNotTooEarly,
  checkUsageType,
  guardSums,
  onceMore,
  type UsageCorrectionDeps,
  writeBatch,
} from './usage-adjustment-service.ts';
import {
  type Correction,
  changed,
  contentHashOf,
  differencesOf,
  maxRevisionsShown,
  type RecordHistory,
  type RecordIdentity,
  type RecordState,
  type RevisedRecord,
  referenceOf,
} from './usage-correction.ts';
import {
  insertDifference,
  insertRevision,
  insertUsageAudit,
  lockRecord,
  revisionOf,
  type StoredRevision,
  selectRecord,
  selectRevision,
  selectRevisions,
  sentStateOf,
} from './usage-correction-queries.ts';
import { horizonOf, lockHorizon, selectBatchState, selectHorizon } from './usage-ledger-queries.ts';

export interface CorrectionOutcome extends RevisedRecord {
  /** The revision was known: nothing was written now. */
  readonly replayed: boolean;
}

/** What changes usage after it was taken in. Raw rows stay as they were sent; the sums get signed differences. */
export interface UsageCorrections {
  /** @throws DomainError `usage_record_not_found`, `raw_dropped` */
  getRecord(identity: RecordIdentity): Promise<RecordHistory>;
  /**
   * Corrects, moves, deletes or brings back a record. The same revision with the same content changes nothing and is answered as
   * before, also when the raw rows of the day were dropped since.
   * @throws DomainError `usage_record_not_found`, `raw_dropped`, `usage_revision_conflict`, `usage_key_reused`,
   *   `usage_record_deleted`, `usage_type_unknown`, `in_future`, `too_old`, `usage_below_zero`
   */
  correct(correction: Correction): Promise<CorrectionOutcome>;
  /** @throws DomainError `usage_key_reused`, `usage_type_unknown`, `too_old`, `raw_kept`, `usage_below_zero` */
  adjust(adjustment: Adjustment, actor: string): Promise<AdjustmentOutcome>;
}

export function createUsageCorrections(deps: UsageCorrectionDeps): UsageCorrections {
  const { db } = deps;
  return {
    getRecord: (identity) => readRecord(db, identity),
    async correct(correction) {
      const { usageType } = correction.change;
      if (usageType !== undefined) await checkUsageType(db, usageType);
      await prepareDay(deps, correction);
      return db.transaction((tx) => correctIn(tx, deps, correction), { idempotent: true });
    },
    adjust: (adjustment, actor) => adjustUsage(deps, adjustment, actor),
  };
}

async function readRecord(db: Database, identity: RecordIdentity): Promise<RecordHistory> {
  const [raw] = await db.read(selectRecord(identity));
  if (raw === undefined) {
    const { rawFrom } = horizonOf((await db.read(selectHorizon()))[0]);
    throw identity.day < rawFrom ? rawDropped(identity, rawFrom) : notFound(identity);
  }
  const revisions = (await db.read(selectRevisions(identity, maxRevisionsShown))).map(revisionOf);
  const sent = sentStateOf(identity, raw);
  const { revision, state, batchId } = revisions[0] ?? { revision: 0, state: sent, batchId: raw.batchId };
  return { identity, revision, state, batchId, sent, revisions };
}

/** Partitions are made before the transaction. @throws DomainError `in_future`, `too_old` */
async function prepareDay({ db, clock }: UsageCorrectionDeps, { identity, change }: Correction): Promise<void> {
  if (change.usedAt === undefined) return;
  if (change.usedAt > clock.now() + maxAheadMs) {
    throw new DomainError<UsageErrorCode>(
      'in_future',
      'used_at is more than 5 minutes ahead of the clock of the server.',
    );
  }
  const day = dayOf(change.usedAt);
  checkNotTooEarly(day);
  // The record's own month is there.
  if (monthOf(change.usedAt) !== monthOf(startOfDay(identity.day))) await ensureDailyMonths(db, [day]);
}

async function correctIn(
  tx: Transaction,
  deps: UsageCorrectionDeps,
  correction: Correction,
): Promise<CorrectionOutcome> {
  const { identity, revision, change } = correction;
  const { rawFrom } = horizonOf((await tx.run(lockHorizon()))[0]);
  // Held before the revisions are read, by a later statement: it sees what those wrote who held it before.
  const [raw] = identity.day < rawFrom ? [] : await tx.run(lockRecord(identity));
  const [known] = await tx.run(selectRevision(identity, revision));
  if (known !== undefined) return replayOf(correction, revisionOf(known));
  if (identity.day < rawFrom) throw rawDropped(identity, rawFrom);
  if (raw === undefined) throw notFound(identity);
  // On Citus a row may be seen before the ledger has its batch: what is taken away must not be in the sums before what brought it.
  if (deps.isCitus && (await tx.run(selectBatchState(raw.batchId))).length === 0)
    throw onceMore('The record is only just being stored. Send it again.');
  const latest = (await tx.run(selectRevisions(identity, 1))).map(revisionOf)[0];
  const present = latest?.revision ?? 0;
  if (revision !== present + 1) throw revisionConflict(revision, present);
  const before = latest?.state ?? sentStateOf(identity, raw);
  if (before.deleted && change.deleted !== false) throw alreadyDeleted(present);
  const batchId = await write(tx, deps, { correction, before, rawFrom });
  return { identity, revision, state: changed(before, change), batchId, replayed: false };
}

interface ToWrite {
  readonly correction: Correction;
  readonly before: RecordState;
  readonly rawFrom: Day;
}

async function write(
  tx: Transaction,
  deps: UsageCorrectionDeps,
  { correction, before, rawFrom }: ToWrite,
): Promise<BatchId> {
  const { identity, revision, reason, actor } = correction;
  const state = changed(before, correction.change);
  const differences = differencesOf(before, state);
  // One of them takes at most, so that nobody waits in a circle.
  for (const difference of differences) await guardSums(tx, deps, { difference, rawFrom });
  const recordedAt = deps.clock.now();
  const batchId = await writeBatch(tx, deps, { actor, recordedAt, differences });
  const contentHash = contentHashOf(correction);
  await tx.run(insertRevision(identity, { revision, state, reason, actor, recordedAt, contentHash, batchId }));
  const reference = referenceOf(identity);
  const common = {
    batchId,
    source: 'correction' as const,
    reference,
    revision,
    reason,
    actor,
    recordedAt,
    contentHash,
  };
  for (const difference of differences) await tx.run(insertDifference({ ...difference, ...common }));
  await tx.run(
    insertUsageAudit({
      actor,
      action: state.deleted ? 'usage.delete' : 'usage.correct',
      subject: reference,
      facts: { revision, before: factsOf(before), after: factsOf(state), reason, batch_id: String(batchId) },
    }),
  );
  return batchId;
}

const factsOf = (state: RecordState): object =>
  state.deleted
    ? { deleted: true }
    : {
        subscription_id: state.subscriptionId,
        usage_type: state.usageType,
        used_at: formatInstant(state.usedAt),
        used: String(state.used),
        price: state.price,
      };

/** @throws DomainError `usage_key_reused` */
function replayOf(correction: Correction, known: StoredRevision): CorrectionOutcome {
  const { identity, revision } = correction;
  if (!known.contentHash.equals(contentHashOf(correction))) {
    throw new DomainError<UsageErrorCode>(
      'usage_key_reused',
      `Revision ${revision} of this record says something else. Read the record, then send the next revision.`,
    );
  }
  return { identity, revision, state: known.state, batchId: known.batchId, replayed: true };
}

const notFound = ({ subscriptionId, recordId, day }: RecordIdentity): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'usage_record_not_found',
    `${subscriptionId} has no record ${recordId} on ${formatDay(day)}. A record is addressed as it was sent, wherever it was moved since.`,
  );

const rawDropped = ({ day }: RecordIdentity, rawFrom: Day): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'raw_dropped',
    `Raw records are kept from ${formatDay(rawFrom)} on. The sums of ${formatDay(day)} are changed by POST /api/v1/usage/adjustments.`,
    { raw_from: formatDay(rawFrom) },
  );

const revisionConflict = (revision: number, present: number): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'usage_revision_conflict',
    `The record has revision ${present}: the next correction is ${present + 1}, not ${revision}.`,
    { revision: present },
  );

const alreadyDeleted = (present: number): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'usage_record_deleted',
    `Revision ${present} deleted the record. To bring it back, send "deleted": false with revision ${present + 1}.`,
    { revision: present },
  );
