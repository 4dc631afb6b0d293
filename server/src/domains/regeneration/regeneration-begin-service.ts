import type { RunId } from '../../jobs/job.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { oldValues } from './regeneration-plan.ts';
import {
  analyzeValues,
  copyValues,
  countValues,
  giveMemory,
  hideValues,
  makeSchema,
  numberValues,
  sizes,
  type Target,
} from './regeneration-queries.ts';
import {
  createRecords,
  insertRecord,
  lockCreation,
  lockTable,
  recordsExist,
  recordsOf,
  selectRecord,
} from './regeneration-record-queries.ts';
import type { TargetFacts } from './regeneration-target.ts';

export interface BeginOptions {
  readonly runId: RunId;
  readonly facts: TargetFacts;
  readonly target: Target;
  /** The run whose copy is looked for; null = this one makes its own. */
  readonly sourceRunId: RunId | null;
}

// Enough for the batches of a rehearsal, and quickly copied.
const sampleRows = 200_000;

/**
 * Copies the old values, in one statement and so as of one moment, and records how the table was. A batch-wise copy would miss
 * the value of a row whose key moves behind the copy while it goes on.
 * @throws DomainError `job_refused` while another run is about the same column
 */
export async function beginRegeneration(tx: Transaction, options: BeginOptions): Promise<void> {
  const { runId, facts, target, sourceRunId } = options;
  await tx.run(lockTable(facts.tableOid));
  const [found] = await tx.run(recordsExist());
  const isFirst = found?.found !== true;
  const records = isFirst ? [] : await tx.run(recordsOf(facts.tableOid, facts.column));
  const other = records.find((record) => record.result === null && record.runId !== runId);
  if (other !== undefined)
    throw jobRefused(
      `Run ${other.runId} is about the same column and has not ended. Go on with it, or cancel it: milliard jobs cancel ${other.runId}`,
    );
  if (sourceRunId === null) await copy(tx, { runId, target, atMost: null });
  const [source] = sourceRunId === null ? [] : await tx.run(selectRecord(sourceRunId));
  const [copied] = source === undefined ? await tx.run(countValues(oldValues.before(runId))) : [];
  const [size] = await tx.run(sizes(facts.tableOid));
  // Behind the copy: until the end of the transaction its foreign key keeps every run from writing its heartbeat.
  if (isFirst) {
    await tx.run(lockCreation());
    await tx.run(createRecords());
  }
  await tx.run(
    insertRecord({
      runId,
      tableOid: facts.tableOid,
      column: facts.column,
      keyColumns: facts.keyColumns,
      sourceRunId: sourceRunId ?? runId,
      copiedRows: source?.copiedRows ?? copied?.rows ?? 0n,
      copiedAt: source?.copiedAt ?? null,
      tableBytes: size?.tableBytes ?? 0n,
      indexBytes: size?.indexBytes ?? 0n,
    }),
  );
}

/** A part of the copy, for a transaction that is rolled back. */
export async function beginRehearsal(tx: Transaction, { runId, target }: Pick<BeginOptions, 'runId' | 'target'>) {
  await tx.run(makeSchema());
  await copy(tx, { runId, target, atMost: sampleRows });
}

async function copy(
  tx: Transaction,
  { runId, target, atMost }: Pick<BeginOptions, 'runId' | 'target'> & { readonly atMost: number | null },
): Promise<void> {
  const before = oldValues.before(runId);
  await tx.run(giveMemory());
  await tx.run(copyValues(target, before, atMost));
  await tx.run(hideValues(before));
  await tx.run(numberValues(before));
  await tx.run(analyzeValues(before));
}
