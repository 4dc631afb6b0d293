import { DomainError } from '../../core/errors.ts';
import type { Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { BatchId, BatchOutcome, UsageErrorCode } from './usage.ts';
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
 * @param newBatchId for a part whose number another batch has
 * @throws DomainError `batch_key_reused`
 */
export function writePart(db: Database, toWrite: PartToWrite, newBatchId: () => BatchId): Promise<PartOutcome> {
  let { part } = toWrite;
  let isSent = false;
  return db.transaction(
    async (tx) => {
      try {
        const outcome = await writeIn(tx, { ...toWrite, part }, isSent);
        isSent = true;
        return outcome;
      } catch (error) {
        if (error instanceof BatchIdTaken) {
          part = part.numbered(newBatchId());
          isSent = false;
        }
        throw error;
      }
    },
    { idempotent: true },
  );
}

/**
 * The same in a transaction of the caller, with its other work. A part is written so once: after a rollback it is read again.
 * @throws BatchIdTaken
 */
export const writePartIn = (tx: Transaction, toWrite: PartToWrite): Promise<PartOutcome> => writeIn(tx, toWrite, false);

/** @param isSent an earlier run came to its COMMIT */
async function writeIn(tx: Transaction, toWrite: PartToWrite, isSent: boolean): Promise<PartOutcome> {
  const [horizon] = await tx.run(lockHorizon());
  const { rawFrom } = horizonOf(horizon);
  const isMoved = toWrite.part.days !== null && toWrite.part.days[0] < rawFrom;
  const part = isMoved ? toWrite.part.from(rawFrom) : toWrite.part;
  const batch = batchOf(part, toWrite, toWrite.now);
  const place = { part: part.part, firstLine: part.firstLine, lines: part.lines };
  if ((await tx.run(insertBatches([batch]))).length === 0) {
    const stored = await tx.run(selectBatches([batch]));
    isStoredAlready(batch, stored, isSent);
    return { ...replayOf(batch, stored), ...place };
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

/** Another batch has the number, by a chance of one in millions: the transaction runs again with another one. */
export class BatchIdTaken extends StorageError {
  constructor() {
    super('storage_overloaded', 'Two batches had the same number. Send it again.', {
      fault: { kind: 'serialization', sqlstate: null },
    });
    this.name = 'BatchIdTaken';
  }
}

/**
 * Whether a batch is in the ledger by its own number, which only an earlier run of its transaction can have brought about.
 * @param isSent there was one that came to its COMMIT
 * @throws BatchIdTaken when its number is another batch's
 */
export function isStoredAlready(batch: NewBatch, stored: readonly StoredBatch[], isSent: boolean): boolean {
  const own = stored.find(({ batchId }) => batchId === batch.batchId);
  if (own === undefined) return false;
  if (isSent && isSameBatch(own, batch)) return true;
  throw new BatchIdTaken();
}

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
  // It was there a moment ago: the days of its rows were dropped, and it was forgotten.
  if (found === undefined) throw new BatchIdTaken();
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
