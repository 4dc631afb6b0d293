import { v7 as uuidv7 } from 'uuid';
import type { Database } from '../storage/database.ts';
import { statement } from '../storage/sql.ts';
import type { Transaction } from '../storage/transaction.ts';
import { nextBatchRows } from './batch-size.ts';
import type { JobBatch, JobKind, JobWork, Json, RunId } from './job.ts';
import { lockTimeoutMs } from './job-batch.ts';
import { parseParameters } from './job-commands.ts';
import { troubleOf } from './job-faults.ts';
import { tablesAndPartitions } from './job-load-queries.ts';
import { enterTransaction } from './job-range-queries.ts';
import type { JobForecast } from './jobs.ts';

interface Usage {
  readonly lsn: bigint;
  readonly diskBytes: bigint;
  readonly otherWriters: boolean;
}

/** Bytes of WAL so far, and the size of the tables with their indexes and partitions. */
const selectUsage = statement<Usage, [readonly string[]]>(
  'job_usage',
  `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as lsn,
          (select coalesce(sum(pg_total_relation_size(relid)), 0) from (${tablesAndPartitions('$1::text[]')}) t (relid))::bigint as "diskBytes",
          exists (select from pg_stat_activity where pid <> pg_backend_pid() and backend_xid is not null) as "otherWriters"`,
  (tables) => [tables],
);

/** Carries the figures out of the transaction that it rolls back. */
class RolledBack extends Error {
  readonly sample: Sample;

  constructor(sample: Sample) {
    super('The rehearsal is rolled back.');
    this.sample = sample;
  }
}

interface Sample {
  readonly rows: number;
  readonly batches: number;
  readonly failedBatches: number;
  readonly beginMs: number;
  readonly batchesMs: number;
  readonly beginWalBytes: number;
  readonly walBytes: number;
  readonly diskBytes: number;
  readonly otherWriters: boolean;
}

/** Does some batches in one transaction that is rolled back, and concludes from them. @throws as a start does */
export async function rehearseKind(
  db: Database,
  kind: JobKind,
  options: { readonly parameters: unknown; readonly batches: number; readonly actor: string },
): Promise<JobForecast> {
  const parameters = parseParameters(kind, options.parameters);
  await kind.check?.({ db, parameters, actor: options.actor });
  const runId = uuidv7() as RunId;
  const stopper = new AbortController();
  const work = await kind.open({
    runId,
    parameters,
    actor: options.actor,
    db,
    signal: stopper.signal,
    rehearsal: true,
  });
  try {
    const total = await work.total();
    const sample = await takeSample(db, { kind, work, parameters, runId, batches: options.batches });
    return {
      sampledRows: sample.rows,
      sampledBatches: sample.batches,
      failedBatches: sample.failedBatches,
      otherWriters: sample.otherWriters,
      total:
        total === null || (sample.rows === 0 && total.rows > 0)
          ? null
          : { ...total, ...extrapolate(sample, total.rows) },
    };
  } finally {
    stopper.abort();
    await work.close?.();
  }
}

function extrapolate(sample: Sample, rows: number) {
  const times = sample.rows === 0 ? 0 : rows / sample.rows;
  return {
    durationMs: Math.round(sample.beginMs + sample.batchesMs * times),
    walBytes: Math.round(sample.beginWalBytes + sample.walBytes * times),
    diskBytes: Math.round(sample.diskBytes * times),
  };
}

interface SampleOptions {
  readonly kind: JobKind;
  readonly work: JobWork;
  readonly parameters: Json;
  readonly runId: RunId;
  readonly batches: number;
}

async function takeSample(db: Database, options: SampleOptions): Promise<Sample> {
  try {
    await db.transaction(async (tx) => {
      throw new RolledBack(await sampleIn(tx, options));
    });
  } catch (error) {
    if (error instanceof RolledBack) return error.sample;
    throw error;
  }
  throw new Error('The rehearsal was not rolled back.');
}

async function sampleIn(tx: Transaction, { kind, work, parameters, runId, batches }: SampleOptions): Promise<Sample> {
  const tables = kind.tables(parameters);
  await tx.run(enterTransaction(runId, lockTimeoutMs, 0));
  const before = await measure(tx, tables);
  await work.begin?.(tx);
  const begun = await measure(tx, tables);
  let after: Json = null;
  let batchRows = kind.batchRows.initial;
  let rows = 0;
  let done = 0;
  let failedBatches = 0;
  for (; done < batches; done++) {
    const startedMs = performance.now();
    const batch = await work.plan(tx, { after, upTo: null, rows: batchRows });
    if (batch === null) break;
    if (!(await applies(tx, work, batch))) failedBatches++;
    const durationMs = performance.now() - startedMs;
    const measured = { askedRows: batchRows, rows: batch.rows, durationMs };
    batchRows = nextBatchRows(kind.batchRows, batchRows, measured);
    after = batch.cursor;
    rows += batch.rows;
  }
  const end = await measure(tx, tables);
  return {
    rows,
    batches: done,
    failedBatches,
    beginMs: begun.atMs - before.atMs,
    batchesMs: end.atMs - begun.atMs,
    beginWalBytes: Number(begun.lsn - before.lsn),
    walBytes: Number(end.lsn - begun.lsn),
    diskBytes: Number(end.diskBytes - begun.diskBytes),
    otherWriters: before.otherWriters || end.otherWriters,
  };
}

/** false = a row of it cannot be done: the run would find it and skip it, the rehearsal goes on behind it. */
async function applies(tx: Transaction, work: JobWork, batch: JobBatch<Json, unknown>): Promise<boolean> {
  try {
    await tx.savepoint(() => work.apply(tx, batch));
    return true;
  } catch (error) {
    if (troubleOf(error).kind !== 'row') throw error;
    return false;
  }
}

async function measure(tx: Transaction, tables: readonly string[]): Promise<Usage & { readonly atMs: number }> {
  const [found] = await tx.run(selectUsage(tables));
  if (found === undefined) throw new Error('The database did not say how large it is.');
  return { ...found, atMs: performance.now() };
}
