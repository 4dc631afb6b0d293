import { type Day, formatDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type BatchId, type BatchOutcome, maxRejectionsKept, type RecordRejection } from './usage.ts';
import { type IntakeBatch, type IntakeRequest, identityOf, inStoringOrder } from './usage-intake.ts';
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
import { BatchIdTaken, isStoredAlready, replayOf } from './usage-part-service.ts';
import { tooOld } from './usage-record.ts';
import { insertRecords, type RecordToInsert } from './usage-records-queries.ts';

/** What a request is answered with, or why it is refused. */
export type IntakeOutcome = { readonly outcome: BatchOutcome } | { readonly error: unknown };

type IntakeOutcomes = ReadonlyMap<IntakeRequest, IntakeOutcome>;

export interface BatchesToWrite {
  readonly batches: readonly IntakeBatch[];
  readonly now: Instant;
  /** For a batch whose number another one has. */
  readonly newBatchId: () => BatchId;
}

/** Writes the requests of one group commit in one transaction; outcomes by request. */
export function writeBatches(
  db: Database,
  { batches: planned, now, newBatchId }: BatchesToWrite,
): Promise<IntakeOutcomes> {
  let batches = planned;
  // What the last run that came to its COMMIT would have answered.
  let sent: IntakeOutcomes | null = null;
  return db.transaction(
    async (tx) => {
      try {
        sent = await writeIn(tx, batches, { now, sent });
        return sent;
      } catch (error) {
        if (error instanceof BatchIdTaken) {
          batches = batches.map((batch) => ({ ...batch, batchId: newBatchId() }));
          sent = null;
        }
        throw error;
      }
    },
    { idempotent: true },
  );
}

interface Run {
  readonly now: Instant;
  readonly sent: IntakeOutcomes | null;
}

interface PlannedBatch {
  readonly batch: IntakeBatch;
  readonly row: NewBatch;
}

/** @throws BatchIdTaken */
async function writeIn(tx: Transaction, batches: readonly IntakeBatch[], { now, sent }: Run): Promise<IntakeOutcomes> {
  const [horizon] = await tx.run(lockHorizon());
  const { rawFrom } = horizonOf(horizon);
  const planned = batches.map((batch) => ({ batch, row: rowOf(batch, rawFrom, now) }));
  // Waits for an earlier run whose COMMIT is still under way.
  const made = new Set((await tx.run(insertBatches(planned.map(({ row }) => row)))).map(({ batchId }) => batchId));
  const known = planned.filter(({ row }) => !made.has(row.batchId));
  const stored = known.length === 0 ? [] : await tx.run(selectBatches(known.map(({ row }) => row)));
  const isOwn = known.some(({ row }) => isStoredAlready(row, stored, sent !== null));
  // The earlier run was committed: what it would have answered holds, wherever the horizon is now.
  if (isOwn && sent !== null) return sent;

  const outcomes = new Map<IntakeRequest, IntakeOutcome>();
  for (const { batch, row } of known) {
    const answer = answerKnown(row, stored);
    for (const request of batch.requests) outcomes.set(request, answer);
  }
  const fresh = planned.filter(({ row }) => made.has(row.batchId));
  for (const [request, outcome] of await writeFresh(tx, fresh, rawFrom)) outcomes.set(request, { outcome });
  return outcomes;
}

/** Stores the records of batches whose rows of the ledger were just made, and mends these where records were there before. */
async function writeFresh(
  tx: Transaction,
  fresh: readonly PlannedBatch[],
  rawFrom: Day,
): Promise<Map<IntakeRequest, BatchOutcome>> {
  const outcomes = new Map<IntakeRequest, BatchOutcome>();
  const accepted = await storeRecords(
    tx,
    fresh.map(({ batch }) => batch),
    rawFrom,
  );
  const wrong: { batchId: BatchId; rows: number; outcome: StoredOutcome | null }[] = [];
  for (const { batch, row } of fresh) {
    let rows = 0;
    for (const request of batch.requests) {
      const outcome = outcomeOf(request, rawFrom, accepted);
      rows += outcome.accepted;
      // The same request sent twice at once: what one did is the answer of both.
      outcomes.set(request, {
        ...outcome,
        batchId: batch.batchId,
        replayed: request !== batch.requests[0] && batch.producerKey !== null,
      });
    }
    if (rows === row.rows) continue;
    const [first] = batch.requests;
    const kept = batch.producerKey === null || first === undefined ? null : outcomeOf(first, rawFrom, accepted);
    wrong.push({ batchId: batch.batchId, rows, outcome: kept });
  }
  if (wrong.length > 0) await tx.run(correctBatches(wrong));
  return outcomes;
}

function answerKnown(row: NewBatch, stored: readonly StoredBatch[]): IntakeOutcome {
  try {
    return { outcome: replayOf(row, stored) };
  } catch (error) {
    return { error };
  }
}

/** @returns the lines that were stored, by request */
async function storeRecords(
  tx: Transaction,
  batches: readonly IntakeBatch[],
  rawFrom: Day,
): Promise<Map<IntakeRequest, Set<number>>> {
  const firsts = new Map<string, RecordToInsert & { readonly request: IntakeRequest; readonly line: number }>();
  for (const { batchId, requests } of batches) {
    for (const request of requests) {
      for (const { record, line } of request.items) {
        if (record.day < rawFrom) continue;
        const identity = identityOf(record.subscriptionId, record.recordId, formatDay(record.day));
        if (!firsts.has(identity)) firsts.set(identity, { record, batchId, request, line });
      }
    }
  }
  const accepted = new Map<IntakeRequest, Set<number>>();
  if (firsts.size === 0) return accepted;
  const rows = inStoringOrder([...firsts.values()]);
  const inserted = await tx.run(insertRecords(rows));
  for (const { subscriptionId, recordId, day } of inserted) {
    const first = firsts.get(identityOf(subscriptionId, recordId, day));
    if (first === undefined) continue;
    const lines = accepted.get(first.request);
    if (lines === undefined) accepted.set(first.request, new Set([first.line]));
    else lines.add(first.line);
  }
  return accepted;
}

function outcomeOf(
  request: IntakeRequest,
  rawFrom: Day,
  accepted: ReadonlyMap<IntakeRequest, ReadonlySet<number>>,
): StoredOutcome {
  const late = lateOf(request, rawFrom);
  const stored = accepted.get(request)?.size ?? 0;
  const rejected = [...request.rejected, ...late].sort((a, b) => a.line - b.line);
  return {
    accepted: stored,
    duplicates: request.items.length - late.length - stored,
    rejectedRows: rejected.length,
    rejected: rejected.slice(0, maxRejectionsKept),
  };
}

/** Records whose day was closed since they were judged. */
const lateOf = ({ items }: IntakeRequest, rawFrom: Day): RecordRejection[] => {
  const { refusal } = tooOld(rawFrom);
  if (refusal === null) return [];
  return items.filter(({ record }) => record.day < rawFrom).map(({ line }) => ({ line, ...refusal }));
};

/** The row of the ledger as it is when every record is new. */
function rowOf({ requests, ...batch }: IntakeBatch, rawFrom: Day, createdAt: Instant): NewBatch {
  const records = requests.flatMap(({ items }) => items.filter(({ record }) => record.day >= rawFrom));
  const days = records.map(({ record }) => record.day);
  const [first] = requests;
  const everything = new Map(
    requests.map((request) => [
      request,
      new Set(request.items.filter(({ record }) => record.day >= rawFrom).map(({ line }) => line)),
    ]),
  );
  return {
    ...batch,
    kind: 'records',
    part: 1,
    rows: records.length,
    outcome: batch.producerKey === null || first === undefined ? null : outcomeOf(first, rawFrom, everything),
    days: days.length === 0 ? null : [Math.min(...days) as Day, Math.max(...days) as Day],
    createdAt,
  };
}
