import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { Bucket } from '../core/bucket.ts';
import { answerWithin } from './answer-within.ts';
import { StorageError, SupersededError, toStorageError } from './faults.ts';
import { queryConfig, rowsOf } from './query-config.ts';
import { isConnectionLoss, isSpoilt } from './retry.ts';
import { createShardMap, type ShardMap } from './shard-map.ts';
import type { Statement } from './sql.ts';

/** The only way to the database inside `db.transaction(…)`. */
export interface Transaction {
  run<Row>(statement: Statement<Row>): Promise<Row[]>;
  /** COPY … FROM STDIN: sends the chunks, returns the number of rows sent. */
  copyIn(copyStatement: string, chunks: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<number>;
  /** COPY … TO STDOUT as chunks of bytes; the consumer's pace is the database's pace. */
  copyOut(copyStatement: string): AsyncIterable<Buffer>;
  /** The items in groups whose buckets stand in one shard; see ShardMap. */
  byShard<Item>(items: readonly Item[], bucketOf: (item: Item) => Bucket): Promise<(readonly Item[])[]>;
  /** Runs `work`; if it throws, only what it wrote is undone and the error goes on to the caller. */
  savepoint<T>(work: () => Promise<T>): Promise<T>;
}

export interface TransactionOptions {
  /**
   * Running the work again does no harm even when the first run was committed: it recognises its own rows. Then a
   * connection lost during COMMIT is cured by running it again; otherwise it ends as `commit_unknown`.
   */
  readonly idempotent?: boolean;
  /** For this transaction instead of the connection's own; 0 = none. */
  readonly statementTimeoutMs?: number;
  /** Acknowledge before the WAL is on disk: only for work that can be done again. */
  readonly asynchronousCommit?: boolean;
  /** Holds this advisory lock, shared, from its beginning to its end. */
  readonly sharedLock?: SharedLock;
  /** Where most of its rows stand: of a cluster, the node that holds this bucket runs it. */
  readonly near?: Bucket | undefined;
}

/** A class of advisory locks and a number within it. */
export type SharedLock = readonly [lockClass: number, lockNumber: number];

/** Takes a shared advisory lock that lasts as long as the transaction. */
export const takeSharedLock = ([lockClass, lockNumber]: SharedLock): string =>
  `select pg_advisory_xact_lock_shared(${lockClass}, ${lockNumber})`;

interface Attempt extends TransactionOptions {
  readonly connectionLossIsFinal?: boolean;
  readonly shards: ShardMap;
  /** How long each statement may stay unanswered; 0 = for ever. */
  readonly answerLimitMs: number;
}

/** One connection's operations, each error as a StorageError. @param answerLimitMs see answerWithin */
export function sessionOf(client: pg.ClientBase, shards: ShardMap = createShardMap(), answerLimitMs = 0): Transaction {
  const run = async <Row>(statement: Statement<Row>): Promise<Row[]> => {
    try {
      return rowsOf(statement, await answerWithin(client, answerLimitMs, client.query(queryConfig(statement))));
    } catch (error) {
      throw toStorageError(error);
    }
  };
  const command = async (text: string): Promise<void> => void (await run({ text, values: [] }));
  return {
    run,
    async copyIn(copyStatement, chunks) {
      const target = client.query(copyFrom(copyStatement));
      try {
        await pipeline(Readable.from(chunks, { objectMode: false }), target);
      } catch (error) {
        throw toStorageError(error);
      }
      return target.rowCount;
    },
    byShard: (items, bucketOf) => shards.group(items, bucketOf, run),
    copyOut: (copyStatement) => client.query(copyTo(copyStatement)),
    async savepoint(work) {
      await command('savepoint s');
      try {
        const result = await work();
        await command('release savepoint s');
        return result;
      } catch (error) {
        await command('rollback to savepoint s; release savepoint s');
        throw error;
      }
    },
  };
}

export async function runTransaction<T>(
  checkOut: () => Promise<pg.PoolClient>,
  work: (tx: Transaction) => Promise<T>,
  options: Attempt,
): Promise<T> {
  let unknown: StorageError | null = null;
  const first = await checkOut();
  try {
    return await attemptTransaction(first, work, options);
  } catch (error) {
    if (error instanceof StorageError && error.code === 'commit_unknown') unknown = error;
    const again = unknown === null ? isConnectionLoss(error) : options.idempotent === true;
    if (!again || options.connectionLossIsFinal === true) throw error;
  }
  try {
    return await attemptTransaction(await checkOut(), work, options);
  } catch (error) {
    // The second run could not find out what became of the first.
    throw unknown !== null && (isConnectionLoss(error) || error instanceof SupersededError) ? unknown : error;
  }
}

async function attemptTransaction<T>(
  client: pg.PoolClient,
  work: (tx: Transaction) => Promise<T>,
  options: Attempt,
): Promise<T> {
  let committing = false;
  const { answerLimitMs } = options;
  try {
    await answerWithin(client, answerLimitMs, client.query(beginText(options)));
    const result = await work(sessionOf(client, options.shards, answerLimitMs));
    committing = true;
    const { command } = await answerWithin(client, answerLimitMs, client.query('commit'));
    // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: `work` swallowed one outside a savepoint.
    if (command !== 'COMMIT')
      throw new Error(`The transaction ended with ${command}: its work went on after a failed statement.`);
    client.release();
    return result;
  } catch (error) {
    const wrapped = toStorageError(error);
    const lost = isConnectionLoss(wrapped);
    // A connection whose state is unknown is thrown away; the server rolls back what it held.
    const reusable =
      !isSpoilt(wrapped) &&
      (await answerWithin(client, answerLimitMs, client.query('rollback')).then(
        () => true,
        () => false,
      ));
    client.release(!reusable);
    if (committing && lost) throw commitUnknown(wrapped);
    throw wrapped;
  }
}

function beginText(options: TransactionOptions): string {
  let text = 'begin';
  if (options.statementTimeoutMs !== undefined) text += `; set local statement_timeout = ${options.statementTimeoutMs}`;
  if (options.sharedLock !== undefined) text += `; ${takeSharedLock(options.sharedLock)}`;
  if (options.asynchronousCommit === true) text += '; set local synchronous_commit = off';
  return text;
}

const commitUnknown = (cause: unknown): StorageError =>
  new StorageError(
    'commit_unknown',
    'The connection to the database was lost while it committed: the write may or may not be stored. Send it again with the same key.',
    { cause, ...(cause instanceof StorageError && cause.fault !== null ? { fault: cause.fault } : {}) },
  );
