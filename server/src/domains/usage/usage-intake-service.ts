import { type Day, formatDay } from '../../core/days.ts';
import type { Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { type BatchOutcome, maxRejectionsKept, type RecordRejection } from './usage.ts';
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
import { replayOf } from './usage-part-service.ts';
import { tooOld } from './usage-record.ts';
import { insertRecords, type RecordToInsert, selectOwnRecords } from './usage-records-queries.ts';

/** What a request is answered with, or why it is refused. */
export type IntakeOutcome = { readonly outcome: BatchOutcome } | { readonly error: unknown };

/** Writes the requests of one group commit in one transaction; outcomes by request. */
export function writeBatches(
  db: Database,
  batches: readonly IntakeBatch[],
  now: Instant,
): Promise<Map<IntakeRequest, IntakeOutcome>> {
  let runs = 0;
  return db.transaction((tx) => writeIn(tx, batches, { now, again: runs++ > 0 }), { idempotent: true });
}

interface Run {
  readonly now: Instant;
  /** The transaction ran before, and perhaps it was committed. */
  readonly again: boolean;
}

async function writeIn(
  tx: Transaction,
  batches: readonly IntakeBatch[],
  { now, again }: Run,
): Promise<Map<IntakeRequest, IntakeOutcome>> {
  const [horizon] = await tx.run(lockHorizon());
  const { rawFrom } = horizonOf(horizon);
  const planned = batches.map((batch) => ({ batch, row: rowOf(batch, rawFrom, now) }));
  const made = new Set((await tx.run(insertBatches(planned.map(({ row }) => row)))).map(({ batchId }) => batchId));
  const known = planned.filter(({ row }) => !made.has(row.batchId));
  const stored = known.length === 0 ? [] : await tx.run(selectBatches(known.map(({ row }) => row)));
  const own = new Set(stored.map(({ batchId }) => batchId));

  const outcomes = new Map<IntakeRequest, IntakeOutcome>();
  // A batch of an earlier run of this very transaction is gone through again: its rows say what became of it.
  const fresh = planned.filter(({ row }) => made.has(row.batchId) || own.has(row.batchId));
  for (const { batch, row } of known.filter((one) => !own.has(one.row.batchId))) {
    const answer = answerKnown(row, stored);
    for (const request of batch.requests) outcomes.set(request, answer);
  }
  const accepted = await storeRecords(
    tx,
    fresh.map(({ batch }) => batch),
    { rawFrom, again },
  );
  const wrong: { batchId: IntakeBatch['batchId']; rows: number; outcome: StoredOutcome | null }[] = [];
  for (const { batch, row } of fresh) {
    let rows = 0;
    for (const request of batch.requests) {
      const outcome = outcomeOf(request, rawFrom, accepted);
      rows += outcome.accepted;
      // The same request sent twice at once: what one did is the answer of both.
      outcomes.set(request, {
        outcome: {
          ...outcome,
          batchId: batch.batchId,
          replayed: request !== batch.requests[0] && batch.producerKey !== null,
        },
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
  { rawFrom, again }: { readonly rawFrom: Day; readonly again: boolean },
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
  if (again) inserted.push(...(await tx.run(selectOwnRecords(rows))));
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
