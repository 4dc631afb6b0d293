import { setTimeout as delay } from 'node:timers/promises';
import type { Day } from '../../core/days.ts';
import { DomainError } from '../../core/errors.ts';
import type { Logger } from '../../core/ports.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { createWriteQueue, type GroupCommit } from '../../storage/group-commit.ts';
import type { Statement } from '../../storage/sql.ts';
import { recogniseServer } from '../../storage/topology.ts';
import { createBatchIds } from './batch-id.ts';
import { createBucketCache } from './bucket-cache.ts';
import { createRollup, type Rollup, type RollupReport, readSummary } from './rollup-service.ts';
import { createSubscriptions, type Subscriptions } from './subscriptions-service.ts';
import type { BatchId, BatchOutcome, RecordRejection, UsageErrorCode, UsageType } from './usage.ts';
import { createUsageCorrections, type UsageCorrections } from './usage-correction-service.ts';
import { startUsageIntakeRules } from './usage-horizon-service.ts';
import { importUsage, type UsageImportOptions } from './usage-import-service.ts';
import { type IntakeItem, type IntakeRequest, planBatches } from './usage-intake.ts';
import { type IntakeOutcome, writeBatches } from './usage-intake-service.ts';
import {
  type Horizon,
  selectBatchState,
  selectSettledBatchState,
  selectSettledSummary,
} from './usage-ledger-queries.ts';
import type { PartOutcome } from './usage-part-service.ts';
import { createUsageReads, type UsageReads } from './usage-read-service.ts';
import { type Judged, judgeDocument, placeRecord } from './usage-record.ts';
import { createUsageRetention, type UsageRetention } from './usage-retention-service.ts';
import { createUsageStatus, type UsageStatusReads } from './usage-status-service.ts';
import { createUsageWriter, type UsageWriter } from './usage-writer-service.ts';

export interface UsageDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Days before today that a new database takes. */
  readonly rawDays: number;
  readonly rollupPauseMs: number;
  /** The database is a Citus cluster; left out = it is asked. */
  readonly isCitus?: boolean;
  /** False writes each request in a transaction of its own: the baseline of the benchmark. */
  readonly groupCommit: boolean;
  readonly onCommit?: (queue: string, rows: number, durationMs: number) => void;
  readonly onRollup?: (report: RollupReport) => void;
}

/** One request of single records. */
export interface UsageRequest {
  /** 1 to 1,000 documents as the API takes them. */
  readonly documents: readonly unknown[];
  readonly actor: string;
  readonly producerKey: string | null;
  /** Of what was sent: the same key with another hash is refused. Needed with a key. */
  readonly contentHash: Buffer | null;
}

/** How far the sums are behind. */
export interface UsageLag {
  readonly openBatches: number;
  readonly openRows: bigint;
  readonly oldestOpenAt: Instant | null;
}

/** The parts of the facade that stand in files of their own. */
type UsageParts = UsageReads & UsageStatusReads & Subscriptions & UsageCorrections & UsageRetention;

export interface Usage extends UsageReads, UsageStatusReads, Subscriptions, UsageCorrections, UsageRetention {
  /** What would become of a document, as far as can be told without the database. */
  judge(document: unknown): Judged;
  /** Through group commit. @throws DomainError `batch_key_reused` */
  ingest(request: UsageRequest): Promise<BatchOutcome>;
  /** Any number of records, part by part; the outcome of a part is given out once it is stored. @throws InvalidInputError for a CSV without the columns; DomainError `batch_key_reused` */
  importBytes(source: AsyncIterable<Buffer>, options: UsageImportOptions): AsyncGenerator<PartOutcome>;
  readonly rollup: Rollup;
  readonly writer: UsageWriter;
  lag(): Promise<UsageLag>;
  /** Everything that was acknowledged before this moment is in the sums. Ask before the sums are read. */
  asOf(): Promise<Instant>;
  /** Waits until the sums have a batch. @returns false when the time is up @throws DomainError `usage_batch_not_found` */
  waitForBatch(batchId: BatchId, timeoutMs: number): Promise<boolean>;
  types(): readonly UsageType[];
  addType(type: UsageType): Promise<void>;
  horizon(): Promise<Horizon>;
  openDays(from: Day): Promise<Horizon>;
  /** After something else moved the horizon. */
  refreshHorizon(): Promise<void>;
  queued(): number;
  /** Takes no more single writes and waits for those it took. */
  drain(): Promise<void>;
}

const pollMs = 50;

/** Opens the intake: partitions stand ready when it returns. */
export async function openUsage(deps: UsageDeps): Promise<Usage> {
  const { db, clock, logger } = deps;
  const isCitus = deps.isCitus ?? (await recogniseServer(db)).topology === 'citus';
  const intake = await startUsageIntakeRules({ db, clock, logger, rawDays: deps.rawDays });
  const newBatchId = createBatchIds();
  const buckets = createBucketCache();
  const queue = createIntakeQueue(deps, newBatchId);
  const rollup = createRollup({
    db,
    clock,
    logger,
    minPauseMs: deps.rollupPauseMs,
    isCitus,
    ...(deps.onRollup === undefined ? {} : { onRollup: deps.onRollup }),
  });
  const core: Omit<Usage, keyof UsageParts> = {
    judge: (document) => judgeDocument(document, intake.rules()),
    async ingest({ documents, ...request }) {
      const written = await queue.write({ ...request, ...judgeAll(documents, intake.rules()) });
      if ('error' in written) throw written.error;
      return written.outcome;
    },
    importBytes: (source, { confirm, ...options }) =>
      importUsage({ db, clock, newBatchId, buckets, rules: () => intake.rules() }, source, {
        ...options,
        async confirm() {
          await confirm?.();
          await rollup.giveWay();
        },
      }),
    rollup,
    writer: createUsageWriter({
      ...{ clock, newBatchId, buckets },
      rules: () => intake.rules(),
      horizon: () => intake.horizon(),
      openDays: (from) => intake.openDays(from),
      giveWay: () => rollup.giveWay(),
    }),
    async lag() {
      const { openBatches, openRows, oldestOpenAt } = await readSummary(db);
      return { openBatches: Number(openBatches), openRows, oldestOpenAt };
    },
    async asOf() {
      const now = clock.now();
      if (!isCitus) return (await readSummary(db)).oldestOpenAt ?? now;
      const [summary] = await db.query(selectSettledSummary());
      return summary?.oldestOpenAt ?? now;
    },
    waitForBatch: (batchId, timeoutMs) =>
      waitForBatch(db, (isCitus ? selectSettledBatchState : selectBatchState)(batchId), { batchId, timeoutMs }),
    types: () => intake.types(),
    addType: (type) => intake.addType(type),
    horizon: () => intake.horizon(),
    openDays: (from) => intake.openDays(from),
    refreshHorizon: () => intake.refresh(),
    queued: () => queue.queued(),
    async drain() {
      await queue.drain();
      intake.close();
    },
  };
  const reading = { db, clock, isCitus, ledger: core };
  return {
    ...core,
    ...createUsageReads(reading),
    ...createUsageStatus(reading),
    ...createSubscriptions(reading),
    ...createUsageCorrections({ ...reading, newBatchId }),
    ...createUsageRetention({ ...reading, rollup, refreshHorizon: () => intake.refresh() }),
  };
}

/** Requests that come at the same time are stored in one transaction. */
function createIntakeQueue(
  deps: UsageDeps,
  newBatchId: ReturnType<typeof createBatchIds>,
): GroupCommit<IntakeRequest, IntakeOutcome> {
  const { db, clock } = deps;
  return createWriteQueue<IntakeRequest, IntakeOutcome>(deps, {
    name: 'usage',
    async commit(requests) {
      const now = clock.now();
      const newId = () => newBatchId(now);
      const outcomes = await writeBatches(db, { batches: planBatches(requests, newId), now, newBatchId: newId });
      return requests.map((request) => outcomes.get(request) ?? { error: new Error('A request has no outcome.') });
    },
  });
}

function judgeAll(
  documents: readonly unknown[],
  rules: Parameters<typeof judgeDocument>[1],
): Pick<IntakeRequest, 'items' | 'rejected'> {
  const items: IntakeItem[] = [];
  const rejected: RecordRejection[] = [];
  for (const [i, document] of documents.entries()) {
    const judged = judgeDocument(document, rules);
    if (judged.refusal === null) items.push({ line: i + 1, record: placeRecord(judged.record) });
    else rejected.push({ line: i + 1, ...judged.refusal });
  }
  return { items, rejected };
}

interface Wait {
  readonly batchId: BatchId;
  readonly timeoutMs: number;
}

async function waitForBatch(
  db: Database,
  look: Statement<{ rolledUp: boolean }>,
  { batchId, timeoutMs }: Wait,
): Promise<boolean> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const [state] = await db.read(look);
    if (state === undefined) {
      throw new DomainError<UsageErrorCode>(
        'usage_batch_not_found',
        'There is no such batch, or its days were dropped long ago.',
        { batch_id: String(batchId) },
      );
    }
    if (state.rolledUp) return true;
    if (performance.now() >= untilMs) return false;
    await delay(pollMs);
  }
}
