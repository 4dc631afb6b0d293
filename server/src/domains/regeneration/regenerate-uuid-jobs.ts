import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import { storableText } from '../../core/validation.ts';
import type { JobContext, JobKind, JobTotal, JobWork, RunId } from '../../jobs/job.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { beginRegeneration, beginRehearsal } from './regeneration-begin-service.ts';
import { withoutValues } from './regeneration-fault-service.ts';
import { finishRegeneration, type Sweeps } from './regeneration-finish-service.ts';
import {
  type Batch,
  divided,
  nextBatch,
  type OldValues,
  oldValues,
  type RegenerationCursor,
} from './regeneration-plan.ts';
import {
  countRows,
  countValues,
  dropValues,
  keyOf,
  leftOverTables,
  lookUpByKey,
  presentPass,
  replaceValues,
  type Target,
  valuesExist,
} from './regeneration-queries.ts';
import { deleteRecord, recordsExist, selectFence } from './regeneration-record-queries.ts';
import type { TargetFacts } from './regeneration-target.ts';
import { inspectTarget, pastRuns, rowEstimate, targetOf } from './regeneration-target-service.ts';
import { parseTableName, qualified } from './table-name.ts';

const regenerateParameters = z.strictObject({
  table: storableText(200).meta({ description: 'schema.table, exactly as the catalogue has it.' }),
  column: storableText(63).meta({ description: 'A column of type uuid, not in a key.' }),
  recheck: z.boolean().default(false).meta({
    description:
      'Keep the copy of old values at the end. Where an earlier run kept one: look only for its values, which an application may have written back.',
  }),
  forget: z.boolean().default(false).meta({ description: 'With recheck: drop the kept copy at the end.' }),
  anew: z.boolean().default(false).meta({
    description: 'With recheck: replace every value again where the earlier run kept no copy.',
  }),
});

export type RegenerateParameters = z.output<typeof regenerateParameters>;

/**
 * Replaces every UUID of a column of any table, in place, while the table is in use. What was visible at the start is copied
 * first; each row that still has its old value gets a new one; sweeps by value find rows whose key has changed; the proof is
 * that none of the old values is left.
 */
export const regenerateUuidKind = (): JobKind<RegenerateParameters, RegenerationCursor, Batch> => ({
  name: 'regenerate-uuid',
  title: 'replace every UUID in a column of any table',
  parameters: regenerateParameters,
  runsOn: 'anyone',
  batchRows: { initial: 2_000, min: 50, max: 20_000 },
  maxRowErrors: 1_000,
  // The record of a copy that --recheck keeps goes with its run.
  keepsRuns: true,
  tables: ({ table }) => {
    const name = parseTableName(table);
    return name === null ? [] : [qualified(name)];
  },
  uniqueKey: ({ table, column }) => {
    const name = parseTableName(table);
    return `${name === null ? table : qualified(name)} ${column}`;
  },
  async check({ db, parameters }) {
    await chooseSource(db, await inspectTarget(db, parameters), parameters);
  },
  open: openWork,
});

/** Whose copy of old values a new run looks for; null = it makes its own. @throws DomainError `job_refused` */
async function chooseSource(
  db: Database,
  facts: TargetFacts,
  { recheck, anew, forget }: Pick<RegenerateParameters, 'recheck' | 'anew' | 'forget'>,
): Promise<RunId | null> {
  if (!recheck) return null;
  const ended = (await pastRuns(db, facts)).filter(({ result }) => result !== null);
  const kept = ended.find(({ isKept }) => isKept);
  if (kept !== undefined) return kept.runId;
  const [last] = ended;
  if (last !== undefined && !anew)
    throw jobRefused(
      `Run ${last.runId} replaced the values of this column and dropped the old ones at its end, so there is nothing to look for. ` +
        'To replace every value again and keep the old ones: --recheck --anew.',
    );
  if (forget) throw jobRefused('No copy of old values is kept for this column: there is nothing to forget.');
  return null;
}

// Two connections keep two processors of the database busy; the engine decides how many work at once.
const connections = 2;

async function openWork(context: JobContext<RegenerateParameters>): Promise<JobWork<RegenerationCursor, Batch>> {
  const { db, parameters, runId, rehearsal } = context;
  const cancel = () => dropAll(db, runId);
  try {
    const facts = await inspectTarget(db, parameters);
    const [claim] = rehearsal ? [] : await db.query(selectFence(runId));
    return regenerationWork(context, { facts, fence: claim?.fence ?? 0n, cancel });
  } catch (error) {
    // The table is gone, or can no longer be changed: what the run made can still be taken away.
    if (rehearsal || !(error instanceof DomainError)) throw error;
    const refuse = () => Promise.reject(error);
    return { begin: refuse, total: refuse, plan: refuse, apply: refuse, finish: refuse, cancel };
  }
}

interface Opened {
  readonly facts: TargetFacts;
  readonly fence: bigint;
  readonly cancel: () => Promise<void>;
}

function regenerationWork(
  { db, runId, parameters, rehearsal }: JobContext<RegenerateParameters>,
  { facts, fence, cancel }: Opened,
): JobWork<RegenerationCursor, Batch> {
  const target = targetOf(facts);
  const totalOf = createTotals(runId);
  const sweeps: Sweeps = { fruitless: 0, sweeps: 0, replaced: 0, refused: new Set() };
  return {
    async begin(tx) {
      if (rehearsal) return beginRehearsal(tx, { runId, target });
      const sourceRunId = await chooseSource(db, facts, parameters);
      await beginRegeneration(tx, { runId, facts, target, sourceRunId });
    },
    total: () =>
      rehearsal ? estimatedTotal(db, facts, target) : db.transaction((tx) => wholeTotal(tx, runId, totalOf)),
    ranges: async () => divided(await db.transaction((tx) => totalOf(tx, 1)), connections),
    async plan(tx, ask) {
      const batch = nextBatch(ask, await totalOf(tx, ask.after?.[0] ?? 1));
      if (batch === null) return null;
      const { pass, after, last } = batch;
      return {
        rows: last - after,
        cursor: [pass, last],
        plan: batch,
        rowKey: await rowKeyOf(tx, target, { runId, batch }),
      };
    },
    async apply(tx, { plan: { pass, after, last }, rows, rowKey }) {
      try {
        await tx.run(lookUpByKey());
        const [done] = await tx.run(replaceValues(target, { values: valuesOf(runId, pass), after, last }));
        const replaced = Number(done?.replaced ?? 0);
        sweeps.replaced += replaced;
        return { counts: { replaced, left_alone: rows - replaced } };
      } catch (error) {
        if (rows === 1) sweeps.refused.add(rowKey);
        throw withoutValues(error);
      }
    },
    finish: () => finishRegeneration({ db, runId, facts, target, fence, sweeps, parameters }),
    cancel,
  };
}

const valuesOf = (runId: RunId, pass: number): OldValues =>
  pass === 1 ? oldValues.before(runId) : oldValues.leftOver(runId, pass);

type TotalOf = (tx: Transaction, pass: number) => Promise<number>;

/** How many values a pass has; they never change. A run that looks for another one's copy has none in its first pass. */
function createTotals(runId: RunId): TotalOf {
  const known = new Map<number, number>();
  return async (tx, pass) => {
    const cached = known.get(pass);
    if (cached !== undefined) return cached;
    const values = valuesOf(runId, pass);
    const [table] = await tx.run(valuesExist(values));
    const [count] = table?.found === true ? await tx.run(countValues(values)) : [];
    const rows = Number(count?.rows ?? 0);
    known.set(pass, rows);
    return rows;
  };
}

/** What was done in earlier passes, and the values of the one that is about to begin. */
async function wholeTotal(tx: Transaction, runId: RunId, totalOf: TotalOf): Promise<JobTotal> {
  const [present] = await tx.run(presentPass(runId));
  const [leftOver] = await tx.run(leftOverTables(runId));
  const [again] = leftOver === undefined ? [] : await tx.run(countValues(leftOver));
  const next = again === undefined ? await totalOf(tx, 1) : Number(again.rows);
  return { rows: Number(present?.doneRows ?? 0n) + next, precision: 'exact' };
}

/** A table that was never analyzed is hardly large. */
async function estimatedTotal(db: Database, facts: TargetFacts, target: Target): Promise<JobTotal> {
  const estimate = await rowEstimate(db, facts);
  if (estimate !== null) return { rows: estimate, precision: 'estimate' };
  const [count] = await db.query(countRows(target));
  return { rows: Number(count?.rows ?? 0), precision: 'exact' };
}

/** Only a row that stands alone is asked for by its key. */
async function rowKeyOf(
  tx: Transaction,
  target: Target,
  { runId, batch: { pass, after, last } }: { runId: RunId; batch: Batch },
): Promise<string> {
  const [found] = last - after === 1 ? await tx.run(keyOf(target, valuesOf(runId, pass), last)) : [];
  return found?.key ?? `rows ${after + 1} to ${last} of pass ${pass}`;
}

/** Everything a run made. What it replaced stays replaced. */
async function dropAll(db: Database, runId: RunId): Promise<void> {
  await db.transaction(async (tx) => {
    for (const { name } of await tx.run(leftOverTables(runId))) await tx.run(dropValues({ name }));
    await tx.run(dropValues(oldValues.before(runId)));
    const [records] = await tx.run(recordsExist());
    if (records?.found === true) await tx.run(deleteRecord(runId));
  });
}
