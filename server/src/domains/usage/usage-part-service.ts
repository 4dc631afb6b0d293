import { DomainError } from '../../core/errors.ts';
import type { Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { BatchOutcome, UsageErrorCode } from './usage.ts';
import {
  correctBatches,
  horizonOf,
  insertBatches,
  lockHorizon,
  type NewBatch,
  type StoredBatch,
  type StoredOutcome,
  selectBatches,
} from './usage-ledger-queries.ts';
import type { UsagePart } from './usage-parts.ts';
import { copyRecords, copyToStage, createStage, insertStaged } from './usage-records-queries.ts';

/** What became of a part of an upload. */
export interface PartOutcome extends BatchOutcome {
  readonly part: number;
  readonly firstLine: number;
  readonly lines: number;
}

export interface PartToWrite {
  readonly part: UsagePart;
  readonly actor: string;
  readonly producerKey: string | null;
  readonly now: Instant;
  /** Some of its records are probably there: deduplicated at once instead of after a failure. */
  readonly stageFirst: boolean;
}

/**
 * Writes a part in one transaction: the horizon is held, the ledger row claims the key, the raw rows follow. Running it again
 * after a lost COMMIT does no harm: the batch id was made before.
 * @throws DomainError `batch_key_reused`
 */
export const writePart = (db: Database, toWrite: PartToWrite): Promise<PartOutcome> =>
  db.transaction((tx) => writePartIn(tx, toWrite), { idempotent: true });

/** The same in a transaction of the caller, with its other work. */
export async function writePartIn(tx: Transaction, toWrite: PartToWrite): Promise<PartOutcome> {
  const [horizon] = await tx.run(lockHorizon());
  const { rawFrom } = horizonOf(horizon);
  const isMoved = toWrite.part.days !== null && toWrite.part.days[0] < rawFrom;
  const part = isMoved ? toWrite.part.from(rawFrom) : toWrite.part;
  const batch = batchOf(part, toWrite, toWrite.now);
  const place = { part: part.part, firstLine: part.firstLine, lines: part.lines };
  if ((await tx.run(insertBatches([batch]))).length === 0) {
    return { ...replayOf(batch, await tx.run(selectBatches([batch]))), ...place };
  }
  const optimistic = outcomeOf(part, part.rows);
  if (part.rows === 0) return { ...optimistic, batchId: part.batchId, replayed: false, ...place };
  const accepted = await storeRows(tx, part, toWrite.stageFirst);
  const outcome = outcomeOf(part, accepted);
  if (accepted !== part.rows) await tx.run(correctBatches([{ batchId: part.batchId, rows: accepted, outcome }]));
  return { ...outcome, batchId: part.batchId, replayed: false, ...place };
}

/** @returns how many of its rows were not there yet */
async function storeRows(tx: Transaction, part: UsagePart, stageFirst: boolean): Promise<number> {
  const bytes = part.bytes();
  if (!stageFirst) {
    try {
      // Most records are new. Where one is not, COPY cannot say which.
      await tx.savepoint(() => tx.copyIn(copyRecords, bytes));
      return part.rows;
    } catch (error) {
      if (!(error instanceof StorageError && error.fault?.kind === 'unique')) throw error;
    }
  }
  await tx.run(createStage);
  await tx.copyIn(copyToStage, bytes);
  return (await tx.run(insertStaged)).length;
}

const outcomeOf = (part: UsagePart, accepted: number): StoredOutcome => ({
  accepted,
  duplicates: part.rows - accepted,
  rejectedRows: part.rejectedRows,
  rejected: part.rejected,
});

const batchOf = (part: UsagePart, { actor, producerKey }: PartToWrite, createdAt: Instant): NewBatch => ({
  batchId: part.batchId,
  kind: 'records',
  actor,
  producerKey,
  part: part.part,
  contentHash: part.contentHash,
  rows: part.rows,
  outcome: outcomeOf(part, part.rows),
  days: part.days,
  createdAt,
});

/**
 * What a batch that is in the ledger already is answered with.
 * @throws DomainError `batch_key_reused` when it has another content
 */
export function replayOf(batch: NewBatch, stored: readonly StoredBatch[]): BatchOutcome {
  const { producerKey, actor, part, batchId } = batch;
  const own = stored.find((row) => row.batchId === batchId);
  const found =
    own ??
    (producerKey === null
      ? undefined
      : stored.find((row) => row.producerKey === producerKey && row.actor === actor && row.part === part));
  // An id that another batch of the same millisecond has: the sender tries again with another.
  if (found === undefined || (own !== undefined && !isSameBatch(own, batch)))
    throw new StorageError('storage_overloaded', 'Two batches had the same number. Send it again.');
  if (!isSameContent(found, batch)) {
    throw new DomainError<UsageErrorCode>(
      'batch_key_reused',
      `The Idempotency-Key was sent before with another content (part ${part}). Use a new key for a new upload.`,
      { batch_id: String(found.batchId), part },
    );
  }
  const outcome = found.outcome ?? { accepted: 0, duplicates: 0, rejectedRows: 0, rejected: [] };
  return { ...outcome, batchId: found.batchId, replayed: own === undefined };
}

const isSameContent = (stored: StoredBatch, { contentHash }: NewBatch): boolean =>
  stored.contentHash === null || contentHash === null
    ? stored.contentHash === contentHash
    : contentHash.equals(stored.contentHash);

const isSameBatch = (stored: StoredBatch, batch: NewBatch): boolean =>
  stored.actor === batch.actor && stored.producerKey === batch.producerKey && isSameContent(stored, batch);
