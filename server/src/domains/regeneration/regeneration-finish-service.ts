import type { JobFinish, RunId } from '../../jobs/job.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { judgeLeftOvers, oldValues, type RegenerationCursor } from './regeneration-plan.ts';
import {
  compareAsWhole,
  copyLeftOvers,
  countLeft,
  dropValues,
  giveMemory,
  hideValues,
  keysIn,
  leftOverTables,
  numberValues,
  presentPass,
  sizes,
  type Target,
  valuesExist,
} from './regeneration-queries.ts';
import {
  forgetCopy,
  holdFence,
  lockTable,
  type RegenerationRecord,
  recordsOf,
  selectRecord,
  storeResult,
} from './regeneration-record-queries.ts';
import { adviceOf, type TargetFacts } from './regeneration-target.ts';

/** What this process learnt while it swept; a resume begins anew, as the cause may be mended. */
export interface Sweeps {
  fruitless: number;
  sweeps: number;
  /** Rows replaced since the last look. */
  replaced: number;
  /** Keys of rows that the database refused to change. */
  readonly refused: Set<string>;
}

export interface FinishOptions {
  readonly db: Database;
  readonly runId: RunId;
  readonly facts: TargetFacts;
  readonly target: Target;
  readonly fence: bigint;
  readonly sweeps: Sweeps;
  readonly parameters: { readonly recheck: boolean; readonly forget: boolean };
}

type Finish = JobFinish<RegenerationCursor>;

/**
 * Counts the rows that have one of the old values, whatever their key, in one statement and so at one moment. None: the proof
 * is stored and the copy dropped in the same transaction. Some: they are listed for another pass.
 */
export async function finishRegeneration(options: FinishOptions): Promise<Finish> {
  const { db, runId, target } = options;
  const [record] = await db.query(selectRecord(runId));
  if (record === undefined) throw new Error('The record of the run is gone from milliard_jobs.regenerations.');
  // A process was killed after it had stored the proof.
  if (record.result !== null) return { kind: 'done', result: record.result };
  const source = oldValues.before(record.sourceRunId);
  const [found] = await db.query(valuesExist(source));
  if (found?.found !== true)
    return {
      kind: 'failed',
      message: `The copy of old values, milliard_jobs.${source.name}, is gone: nothing can be proved. Cancel the run and start another one.`,
      result: null,
    };
  return db.transaction(
    async (tx) => {
      await tx.run(giveMemory());
      await tx.run(compareAsWhole());
      const [left] = await tx.run(countLeft(target, source));
      const rows = Number(left?.rows ?? 0);
      return rows === 0 ? conclude(tx, options, record) : sweep(tx, options, { record, left: rows });
    },
    { statementTimeoutMs: 0 },
  );
}

async function conclude(tx: Transaction, options: FinishOptions, record: RegenerationRecord): Promise<Finish> {
  const { runId, facts, fence, parameters } = options;
  const [size] = await tx.run(sizes(facts.tableOid));
  await tx.run(lockTable(facts.tableOid));
  const isKept = parameters.recheck && !parameters.forget;
  for (const { name } of await tx.run(leftOverTables(runId))) await tx.run(dropValues({ name }));
  if (!isKept) {
    await tx.run(dropValues(oldValues.before(runId)));
    // What earlier runs kept is older still.
    for (const past of await tx.run(recordsOf(facts.tableOid, facts.column))) {
      if (!past.isKept) continue;
      await tx.run(dropValues(oldValues.before(past.runId)));
      await tx.run(forgetCopy(past.runId));
    }
  }
  const result = {
    proof: `0 of ${Number(record.copiedRows).toLocaleString('en')} values visible at ${record.copiedAt} are left`,
    old_values_left: 0,
    values_at_start: Number(record.copiedRows),
    copied_at: record.copiedAt,
    old_values: isKept ? `kept in milliard_jobs.${oldValues.before(record.sourceRunId).name} for --recheck` : 'dropped',
    table_mb: megabytes(record.tableBytes, size?.tableBytes),
    indexes_mb: megabytes(record.indexBytes, size?.indexBytes),
    advice: adviceOf(facts).join(' '),
  };
  await tx.run(storeResult(runId, result, isKept && record.sourceRunId === runId));
  await requireClaim(tx, runId, fence);
  return { kind: 'done', result };
}

const megabytes = (before: bigint, after: bigint | undefined): string =>
  [before, after ?? 0n]
    .map((bytes) => (Number(bytes) / 1e6).toFixed(1))
    .join(' before, ')
    .concat(' now');

async function sweep(
  tx: Transaction,
  options: FinishOptions,
  { record, left }: { record: RegenerationRecord; left: number },
): Promise<Finish> {
  const { runId, target, fence, sweeps } = options;
  const [ranges] = await tx.run(presentPass(runId));
  const pass = (ranges?.pass ?? 1) + 1;
  const values = oldValues.leftOver(runId, pass);
  // Those of the last pass are done; those of a process that was killed after it had listed them are listed anew.
  for (const { name } of await tx.run(leftOverTables(runId))) await tx.run(dropValues({ name }));
  await tx.run(copyLeftOvers(target, oldValues.before(record.sourceRunId), values));
  await tx.run(hideValues(values));
  await tx.run(numberValues(values));
  const keys = sweeps.refused.size === 0 ? [] : await tx.run(keysIn(target, values, sweeps.refused.size));
  const refusedRows = keys.filter(({ key }) => sweeps.refused.has(key)).length;
  await requireClaim(tx, runId, fence);

  if (sweeps.sweeps > 0) sweeps.fruitless = sweeps.replaced === 0 ? sweeps.fruitless + 1 : 0;
  const verdict = judgeLeftOvers(sweeps, { left, refusedRows });
  const rows = `${left.toLocaleString('en')} ${left === 1 ? 'row has an old value' : 'rows have old values'}`;
  if (verdict.kind === 'give up')
    return { kind: 'failed', message: `${rows}. ${verdict.reason}`, result: { old_values_left: left } };
  sweeps.sweeps++;
  sweeps.replaced = 0;
  return { kind: 'again', from: [pass, 0], reason: `${rows}: sweeping` };
}

/** What a process does that lost the run shall not be committed. */
async function requireClaim(tx: Transaction, runId: RunId, fence: bigint): Promise<void> {
  if ((await tx.run(holdFence(runId, fence))).length === 0) throw new Error('Another process has taken the run over.');
}
