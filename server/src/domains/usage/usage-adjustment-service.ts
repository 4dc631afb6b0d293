import { type Day, dayOf, formatDay, parseDay } from '../../core/days.ts';
import { DomainError } from '../../core/errors.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { ensureDailyMonths } from '../../storage/day-partitions.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { formatAmount, formatMicros, microsOf } from './decimal.ts';
import type { BatchId, UsageErrorCode } from './usage.ts';
import { type Adjustment, adjustmentHashOf, type StoredAdjustment } from './usage-adjustment.ts';
import { type Difference, earliestDay } from './usage-correction.ts';
import {
  findTaking,
  insertDifference,
  insertUsageAudit,
  lockTaking,
  lockTakingOnCitus,
  selectAdjustment,
  selectHighestOpen,
} from './usage-correction-queries.ts';
import { holdSums, horizonOf, insertBatches, lockHorizon, selectTypes } from './usage-ledger-queries.ts';
import { metricsPage } from './usage-metrics-queries.ts';

export interface UsageCorrectionDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly newBatchId: (now: Instant) => BatchId;
  readonly isCitus: boolean;
}

export interface AdjustmentOutcome extends StoredAdjustment {
  /** It was known: nothing was written now. */
  readonly replayed: boolean;
}

/**
 * Adds a signed difference to the sums of a day whose raw rows are gone. Known by its subscription and id: the same again changes
 * nothing.
 * @throws DomainError `usage_key_reused`, `usage_type_unknown`, `too_old`, `raw_kept`, `usage_below_zero`
 */
export async function adjustUsage(
  deps: UsageCorrectionDeps,
  adjustment: Adjustment,
  actor: string,
): Promise<AdjustmentOutcome> {
  const { db, clock } = deps;
  await checkUsageType(db, adjustment.usageType);
  checkNotTooEarly(adjustment.day);
  // Later days have raw rows: they are refused, with their partitions unmade.
  if (adjustment.day <= dayOf(clock.now())) await ensureDailyMonths(db, [adjustment.day]);
  return db.transaction((tx) => adjustIn(tx, deps, { adjustment, actor }), { idempotent: true });
}

interface ToAdjust {
  readonly adjustment: Adjustment;
  readonly actor: string;
}

async function adjustIn(tx: Transaction, deps: UsageCorrectionDeps, toAdjust: ToAdjust): Promise<AdjustmentOutcome> {
  const { adjustment, actor } = toAdjust;
  const { subscriptionId, adjustmentId, reason } = adjustment;
  const known = await findKnown(tx, adjustment);
  if (known !== null) return known;
  const { rawFrom } = horizonOf((await tx.run(lockHorizon()))[0]);
  if (adjustment.day >= rawFrom) throw rawKept(rawFrom);
  const difference: Difference = {
    subscriptionId,
    usageType: adjustment.usageType,
    day: adjustment.day,
    records: 0,
    used: adjustment.usedDelta,
    priceMicros: adjustment.priceDeltaMicros,
    side: 0,
  };
  await guardSums(tx, deps, { difference, rawFrom });
  const recordedAt = deps.clock.now();
  const batchId = await writeBatch(tx, deps, { actor, recordedAt, differences: [difference] });
  const row = { ...difference, batchId, source: 'adjustment' as const, reference: adjustmentId, revision: 1 };
  const contentHash = adjustmentHashOf(adjustment);
  if ((await tx.run(insertDifference({ ...row, reason, actor, recordedAt, contentHash }))).length === 0) {
    // Somebody sent it at the same time. What they wrote is seen by running again, without the batch that was written here.
    throw onceMore('The same adjustment is being written. Send it again.');
  }
  const facts = {
    usage_type: adjustment.usageType,
    day: formatDay(adjustment.day),
    used_delta: String(adjustment.usedDelta),
    price_delta: formatAmount(formatMicros(adjustment.priceDeltaMicros)),
    reason,
    batch_id: String(batchId),
  };
  const subject = JSON.stringify([subscriptionId, adjustmentId]);
  await tx.run(insertUsageAudit({ actor, action: 'usage.adjust', subject, facts }));
  return { ...adjustment, actor, recordedAt, batchId, replayed: false };
}

/** @throws DomainError `usage_key_reused` */
async function findKnown(tx: Transaction, adjustment: Adjustment): Promise<AdjustmentOutcome | null> {
  const { subscriptionId, adjustmentId } = adjustment;
  const [row] = await tx.run(selectAdjustment(subscriptionId, adjustmentId));
  if (row === undefined) return null;
  if (!row.contentHash.equals(adjustmentHashOf(adjustment))) {
    throw new DomainError<UsageErrorCode>(
      'usage_key_reused',
      `This subscription has an adjustment ${adjustmentId} with another content. Use a new adjustment_id for another adjustment.`,
      { batch_id: String(row.batchId) },
    );
  }
  return {
    subscriptionId,
    adjustmentId,
    usageType: row.usageType,
    day: parseDay(row.day) as Day,
    usedDelta: BigInt(row.usedDelta),
    priceDeltaMicros: microsOf(row.priceDelta),
    reason: row.reason,
    actor: row.actor,
    recordedAt: row.recordedAt,
    batchId: row.batchId,
    replayed: true,
  };
}

/** Sees that a difference leaves no sum below zero. Who takes from the same sum waits until this transaction ends. */
export async function guardSums(
  tx: Transaction,
  { isCitus }: Pick<UsageCorrectionDeps, 'isCitus'>,
  { difference, rawFrom }: { readonly difference: Difference; readonly rawFrom: Day },
): Promise<void> {
  const { subscriptionId, usageType, day, used, priceMicros } = difference;
  if (used >= 0n && priceMicros >= 0n) return;
  // A day's records are worth 0 or more, each of them. Adjustments that take come only to days behind the horizon, and it is held.
  if (day >= rawFrom && (await tx.run(findTaking(difference))).length === 0) return;
  await tx.run(isCitus ? lockTakingOnCitus(difference) : lockTaking(difference));
  if (isCitus) await tx.run(holdSums());
  const selection = { days: { from: day, to: day }, usageType, subscriptionId };
  const [sum] = await tx.run(metricsPage({ selection, byDay: false, fresh: true, isCitus }, { after: null, rows: 1 }));
  const present = { used: BigInt(sum?.totalUsed ?? '0'), priceMicros: microsOf(sum?.totalPrice ?? '0') };
  if (present.used + used >= 0n && present.priceMicros + priceMicros >= 0n) return;
  throw new DomainError<UsageErrorCode>(
    'usage_below_zero',
    `The ${usageType} of ${subscriptionId} on ${formatDay(day)} would fall below zero: there is ${present.used} for ${formatAmount(formatMicros(present.priceMicros))}.`,
    { total_used: String(present.used), total_price: formatAmount(formatMicros(present.priceMicros)) },
  );
}

export interface BatchOfDifferences {
  readonly actor: string;
  readonly recordedAt: Instant;
  readonly differences: readonly Difference[];
}

// Servers whose clocks differ: the numbers of two corrections at once, both above the same open batch, differ by luck.
const luck = 2 ** 20;

/**
 * The ledger row of differences. Its number is above those of all open batches, for the rollup takes batches by number: what a
 * difference takes away is in the sums before it.
 */
export async function writeBatch(
  tx: Transaction,
  { newBatchId }: Pick<UsageCorrectionDeps, 'newBatchId'>,
  { actor, recordedAt, differences }: BatchOfDifferences,
): Promise<BatchId> {
  const made = newBatchId(recordedAt);
  const highest = (await tx.run(selectHighestOpen()))[0]?.batchId ?? null;
  const batchId =
    highest === null || highest < made ? made : ((highest + 1n + BigInt(Math.floor(Math.random() * luck))) as BatchId);
  const days = differences.map(({ day }) => day);
  const written = await tx.run(
    insertBatches([
      {
        batchId,
        kind: 'adjustments',
        actor,
        producerKey: null,
        part: 1,
        contentHash: null,
        rows: differences.length,
        outcome: null,
        days: days.length === 0 ? null : [Math.min(...days) as Day, Math.max(...days) as Day],
        createdAt: recordedAt,
      },
    ]),
  );
  if (written.length > 0) return batchId;
  throw onceMore('Two batches had the same number. Send it again.');
}

/** The transaction runs again, as after a deadlock. */
export const onceMore = (message: string): StorageError =>
  new StorageError('storage_overloaded', message, { fault: { kind: 'serialization', sqlstate: null } });

/** @throws DomainError `usage_type_unknown` */
export async function checkUsageType(db: Database, usageType: string): Promise<void> {
  const known = (await db.read(selectTypes())).map((type) => type.usageType);
  if (known.includes(usageType)) return;
  throw new DomainError<UsageErrorCode>(
    'usage_type_unknown',
    `"${usageType}" is no usage type. Known: ${known.join(', ')}.`,
    { known },
  );
}

/** @throws DomainError `too_old` */
export function checkNotTooEarly(day: Day): void {
  if (day >= earliestDay) return;
  throw new DomainError<UsageErrorCode>('too_old', `Usage is summed from ${formatDay(earliestDay)} on.`);
}

const rawKept = (rawFrom: Day): DomainError<UsageErrorCode> =>
  new DomainError<UsageErrorCode>(
    'raw_kept',
    `From ${formatDay(rawFrom)} on raw records are kept: correct or delete these (PATCH, DELETE /api/v1/usage/records/…). Adjustments are for earlier days.`,
    { raw_from: formatDay(rawFrom) },
  );
