import type { Database } from '../storage/database.ts';
import type { Transaction } from '../storage/transaction.ts';
import type { BatchAsk, JobBatch, JobWork, Json } from './job.ts';
import { LostRunError, StoppedError, troubleOf } from './job-faults.ts';
import type { Hand } from './job-hand.ts';
import { enterTransaction, insertRowError, type Told, writeCheckpoint } from './job-range-queries.ts';
import { addCounts } from './job-run-row.ts';

/** Where a range is, as the last commit left it. */
export interface RangePosition {
  readonly rangeNo: number;
  readonly cursor: Json;
  readonly upTo: Json;
  readonly batches: number;
  readonly doneRows: number;
  readonly failedRows: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly finished: boolean;
}

/** A committed batch. */
export interface BatchDone {
  readonly position: RangePosition;
  readonly told: Told;
  readonly askedRows: number;
  readonly rows: number;
  readonly failedRows: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly durationMs: number;
  /** Runs of the transaction: more than one when rows were locked. */
  readonly attempts: number;
}

interface RowFault {
  readonly rowKey: string;
  readonly code: string;
  readonly detail: string;
}

/** A batch failed for its data; nothing of it was committed. */
export class BadRowsError extends Error {
  readonly rows: number;
  readonly fault: RowFault;
  /** One row too many failed: it is not skipped. */
  readonly isOverLimit: boolean;

  constructor(rows: number, fault: RowFault, isOverLimit: boolean) {
    super('A batch failed for its data.');
    this.name = 'BadRowsError';
    this.rows = rows;
    this.fault = fault;
    this.isOverLimit = isOverLimit;
  }
}

// Batches hold locks themselves: they wait a second for others, then try again.
export const lockTimeoutMs = 1_000;
const statementTimeoutMs = 60_000;

type Applied = Pick<BatchDone, 'failedRows' | 'counts'>;

export interface BatchDeps {
  readonly db: Database;
  readonly work: JobWork;
  readonly hand: Hand;
}

/**
 * One batch, its checkpoint included, in one transaction.
 * @throws BadRowsError, LostRunError, StoppedError, StorageError; after each of them but StorageError nothing was committed
 */
export async function runBatch(deps: BatchDeps, range: RangePosition, askedRows: number): Promise<BatchDone> {
  const { hand } = deps;
  let attempts = 0;
  let startedMs = 0;
  const transaction = deps.db.transaction(async (tx) => {
    startedMs = performance.now();
    if (++attempts > 1) {
      if (hand.signal.aborted) throw new StoppedError();
      hand.meter.retried();
      hand.gate.wait('trouble', `the rows are locked by another transaction; retry ${attempts - 1}`);
    }
    return doBatch(deps, tx, { range, askedRows });
  });
  const done = await transaction.finally(() => deps.work.settled?.());
  return { ...done, durationMs: performance.now() - startedMs, attempts };
}

async function doBatch(
  deps: BatchDeps,
  tx: Transaction,
  { range, askedRows }: { range: RangePosition; askedRows: number },
): Promise<Omit<BatchDone, 'durationMs' | 'attempts'>> {
  const { runId } = deps.hand.claim.row;
  await tx.run(enterTransaction(runId, lockTimeoutMs, statementTimeoutMs));
  const batch = await plan(deps, tx, { after: range.cursor, upTo: range.upTo, rows: askedRows });
  const applied = batch === null ? { failedRows: 0, counts: {} } : await apply(deps, tx, { batch, askedRows });
  const position = moved(range, batch, applied);
  const [told] = await tx.run(
    writeCheckpoint({
      runId,
      rangeNo: range.rangeNo,
      fence: deps.hand.claim.fence,
      batches: range.batches,
      cursor: position.cursor,
      rows: batch?.rows ?? 0,
      failedRows: applied.failedRows,
      counts: position.counts,
      finished: position.finished,
    }),
  );
  if (told === undefined) throw new LostRunError();
  return { position, told, askedRows, rows: batch?.rows ?? 0, ...applied };
}

/** @throws Error for a plan that breaks its contract, and for rows that planning itself stumbles over: nobody can skip those */
async function plan(
  { work }: BatchDeps,
  tx: Transaction,
  ask: BatchAsk<Json>,
): Promise<JobBatch<Json, unknown> | null> {
  let batch: JobBatch<Json, unknown> | null;
  try {
    batch = await work.plan(tx, ask);
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble.kind !== 'row') throw error;
    throw new Error(`The next batch cannot be found: ${trouble.detail} (${trouble.code}).`, { cause: error });
  }
  if (batch !== null && batch.rows > ask.rows)
    throw new Error(`A batch of ${batch.rows} rows was planned where ${ask.rows} were asked for.`);
  if (batch !== null && JSON.stringify(batch.cursor) === JSON.stringify(ask.after))
    throw new Error('A batch was planned whose cursor does not move: the run would never end.');
  return batch;
}

/** A row that stands alone and fails is recorded and skipped in the batch's own transaction. */
async function apply(
  { work, hand }: BatchDeps,
  tx: Transaction,
  { batch, askedRows }: { batch: JobBatch<Json, unknown>; askedRows: number },
): Promise<Applied> {
  const alone = askedRows === 1;
  try {
    const { counts } = alone ? await tx.savepoint(() => work.apply(tx, batch)) : await work.apply(tx, batch);
    return { failedRows: 0, counts };
  } catch (error) {
    const trouble = troubleOf(error);
    if (trouble.kind !== 'row') throw error;
    const fault = { rowKey: batch.rowKey, code: trouble.code, detail: trouble.detail };
    const isOverLimit = alone && hand.meter.counted().failedRows >= Number(hand.claim.row.allowedRowErrors);
    if (!alone || isOverLimit) throw new BadRowsError(batch.rows, fault, isOverLimit);
    await tx.run(insertRowError(hand.claim.row.runId, { ...fault, skipped: true }));
    return { failedRows: batch.rows, counts: {} };
  }
}

function moved(range: RangePosition, batch: JobBatch<Json, unknown> | null, applied: Applied): RangePosition {
  return {
    ...range,
    cursor: batch === null ? range.cursor : batch.cursor,
    batches: range.batches + 1,
    doneRows: range.doneRows + (batch?.rows ?? 0),
    failedRows: range.failedRows + applied.failedRows,
    counts: addCounts([range.counts, applied.counts]),
    finished: batch === null,
  };
}
