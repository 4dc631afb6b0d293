import { once } from 'node:events';
import { PassThrough, type Writable } from 'node:stream';
import { DomainError } from '../../core/errors.ts';
import type { Clock, Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import type { Statement } from '../../storage/sql.ts';
import { formatAmount } from './decimal.ts';
import type { BatchId, UsageErrorCode } from './usage.ts';
import { holdSums, holdSumsOfSession, selectTypes } from './usage-ledger-queries.ts';
import { copyMetrics, copySettings, metricsPage } from './usage-metrics-queries.ts';
import { overLimitPage } from './usage-over-limit-queries.ts';
import {
  isNothing,
  longestWaitMs,
  type MetricsQuery,
  type OverLimit,
  type OverLimitQuery,
  type Recency,
  type StreamFormat,
  type SumKey,
  type UsagePage,
  type UsageSum,
} from './usage-read.ts';

/** What reading needs to know of the ledger. */
export interface LedgerState {
  /** Everything acknowledged before it is in the sums of whoever asks for these afterwards. */
  asOf(): Promise<Instant>;
  /** @throws DomainError `usage_batch_not_found` */
  waitForBatch(batchId: BatchId, timeoutMs: number): Promise<boolean>;
}

export interface UsageReadsDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly isCitus: boolean;
  readonly ledger: LedgerState;
}

/** A stream holds a connection of its own. */
export const maxStreams = 4;

export interface StreamedMetrics {
  readonly asOf: Instant;
  /** Lines in the form of the wire, cut anywhere. Whoever stops early lets go of the connection. */
  readonly chunks: AsyncIterable<Buffer>;
}

/** Reads of usage. All throw DomainError `usage_type_unknown`, `usage_batch_not_found`, `usage_not_rolled_up`. */
export interface UsageReads {
  /** Subscriptions that have reached (>=) a limit, over all time or in a period, in the order of their ids. */
  overLimit(
    query: OverLimitQuery,
    page: { readonly after: string | null; readonly limit: number },
  ): Promise<UsagePage<OverLimit, string>>;
  /** Sums by subscription and type, or by day too. With `fresh` a page may have fewer rows than its limit. */
  metrics(
    query: MetricsQuery,
    page: { readonly after: SumKey | null; readonly limit: number },
  ): Promise<UsagePage<UsageSum, SumKey>>;
  /**
   * The same as one stream and of one snapshot, in the same order.
   * @throws StorageError `storage_overloaded` when `maxStreams` are under way
   */
  streamMetrics(query: MetricsQuery, format: StreamFormat): Promise<StreamedMetrics>;
}

export function createUsageReads(deps: UsageReadsDeps): UsageReads {
  const { db, isCitus } = deps;
  let streams = 0;
  return {
    async overLimit({ selection, priceLimit, ...recency }, { after, limit }) {
      await checkType(db, selection.usageType);
      const asOf = await readyFor(deps, recency);
      const { fresh } = recency;
      const statement = overLimitPage({ selection, priceLimit, fresh, after, rows: limit + 1 });
      const rows = fresh && isCitus ? await readHeld(db, statement) : await db.query(statement);
      const items = rows.slice(0, limit).map(({ subscriptionId, usageTypes, totalPrices, exceededBy }) => ({
        subscriptionId,
        exceeded: usageTypes.map((usageType, i) => ({
          usageType,
          totalPrice: formatAmount(totalPrices[i] ?? ''),
          exceededBy: formatAmount(exceededBy[i] ?? ''),
        })),
      }));
      return { items, next: rows.length > limit ? (items.at(-1)?.subscriptionId ?? null) : null, asOf };
    },
    async metrics({ selection, byDay, ...recency }, { after, limit }) {
      await checkType(db, selection.usageType);
      const asOf = await readyFor(deps, recency);
      const { fresh } = recency;
      const statement = metricsPage({ selection, byDay, fresh, isCitus }, { after, rows: limit + 1 });
      const isShort = selection.subscriptionId !== null && !fresh;
      const found = fresh && isCitus ? await readHeld(db, statement) : await readShortly(db, statement, isShort);
      const page = found.slice(0, limit);
      const next = found.length > limit ? (page.at(-1) ?? null) : null;
      return { items: fresh ? page.filter((sum) => !isNothing(sum)) : page, next, asOf };
    },
    async streamMetrics({ selection, byDay, ...recency }, format) {
      await checkType(db, selection.usageType);
      if (streams >= maxStreams) {
        throw new StorageError('storage_overloaded', `${maxStreams} such streams are under way. Try again shortly.`);
      }
      streams++;
      try {
        const asOf = await readyFor(deps, recency);
        const text = copyMetrics({ selection, byDay, fresh: recency.fresh, isCitus }, format);
        const copy = (): Promise<AsyncIterable<Buffer>> => copied(db, text, () => streams--);
        return { asOf, chunks: recency.fresh && isCitus ? await copiedHeld(db, copy) : await copy() };
      } catch (error) {
        streams--;
        throw error;
      }
    },
  };
}

// What is read most goes over the pipelined connections; what may take longer keeps nobody waiting on the pool's.
const readShortly = <Row>(db: Database, statement: Statement<Row>, isShort: boolean): Promise<Row[]> =>
  isShort ? db.read(statement) : db.query(statement);

/** On Citus no statement is of one moment: while it reads the open batches and the sums, no rollup moves one to the other. */
const readHeld = <Row>(db: Database, statement: Statement<Row>): Promise<Row[]> =>
  db.transaction(async (tx) => {
    await tx.run(holdSums());
    return tx.run(statement);
  });

/** The same for a stream: it is through with the nodes when its first bytes come, for the coordinator has collected the rest by then. */
const copiedHeld = <Chunks>(db: Database, copy: () => Promise<Chunks>): Promise<Chunks> =>
  db.session(async (session) => {
    await session.run(holdSumsOfSession());
    return copy();
  });

/** A type that nobody registered is a slip of the pen, not a type without usage. */
async function checkType(db: Database, usageType: string | null): Promise<void> {
  if (usageType === null) return;
  const known = (await db.read(selectTypes())).map((type) => type.usageType);
  if (known.includes(usageType)) return;
  throw new DomainError<UsageErrorCode>(
    'usage_type_unknown',
    `"${usageType}" is no usage type. Known: ${known.join(', ')}.`,
    { known },
  );
}

/** Waits as asked for. @returns as of when the sums are that are read next */
async function readyFor({ clock, ledger }: UsageReadsDeps, { fresh, waitFor }: Recency): Promise<Instant> {
  if (waitFor !== null) {
    const isRolledUp = await ledger.waitForBatch(waitFor, fresh ? 0 : longestWaitMs);
    // With `fresh` it counts either way.
    if (!isRolledUp && !fresh) {
      throw new DomainError<UsageErrorCode>(
        'usage_not_rolled_up',
        `The batch ${waitFor} is stored but not in the sums yet. Ask again shortly, or with fresh=true, which counts it at once.`,
        { batch_id: String(waitFor) },
      );
    }
  }
  return fresh ? clock.now() : ledger.asOf();
}

/**
 * What a COPY sends, on a connection of its own. Resolves with its first bytes, so that what fails at once is told properly.
 * @param onEnd called when the connection is let go, unless this throws
 */
async function copied(db: Database, copyStatement: string, onEnd: () => void): Promise<AsyncIterable<Buffer>> {
  const chunks = new PassThrough({ highWaterMark: 256 * 1024 });
  // Whoever reads is told by the reading.
  chunks.on('error', () => {});
  const copying = db
    .session(async (session) => {
      await session.script(copySettings);
      for await (const chunk of session.copyOut(copyStatement)) {
        const mayGoOn = chunks.write(chunk);
        if (!mayGoOn && !chunks.destroyed) await drained(chunks);
        if (chunks.destroyed) return;
      }
      chunks.end();
    })
    .catch((error: unknown) => void chunks.destroy(error as Error));
  await once(chunks, 'readable');
  void copying.finally(onEnd);
  return chunks;
}

const drained = (stream: Writable): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
