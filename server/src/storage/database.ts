import { answerLimitMs, answerWithin } from './answer-within.ts';
import { type ConnectionOptions, connectTo } from './connection.ts';
import { createCoordinatorLine } from './coordinator-line.ts';
import { toStorageError } from './faults.ts';
import { createHosts, type Hosts } from './hosts.ts';
import { createPooled, type Pooled } from './pooled.ts';
import { createPulse, type Pulse } from './pulse.ts';
import { queryConfig, rowsOf } from './query-config.ts';
import { createReadClients } from './read-clients.ts';
import { isImpossible, isSpoilt, isTransient, withRetry } from './retry.ts';
import { statementsOf } from './script.ts';
import { createShardMap } from './shard-map.ts';
import type { Statement } from './sql.ts';
import { runTransaction, sessionOf, type Transaction, type TransactionOptions } from './transaction.ts';

export interface DatabaseOptions extends ConnectionOptions {
  /** Connections for transactions and longer statements. */
  readonly poolSize: number;
  /** Pipelined connections for short reads. */
  readonly readClients: number;
  /**
   * For servers: when the database gives no sign of life for about a second while a read, query or transaction waits, these end
   * as if their connections were lost, and new ones do at once until it answers. Sessions wait. Left out (commands): all wait.
   */
  readonly pulse?: { readonly onChange?: (answers: boolean) => void };
}

const silenceMs = 1_000;

/** Every error is a StorageError (see faults.ts) unless `work` itself threw something else. */
export interface Database {
  /** One short read outside a transaction. Run again once on a new connection when its connection was lost under way. */
  read<Row>(statement: Statement<Row>): Promise<Row[]>;
  /** One statement outside a transaction, on a pooled connection; for reads that may take longer and for single writes. */
  query<Row>(statement: Statement<Row>): Promise<Row[]>;
  /**
   * Runs `work` in one READ COMMITTED transaction and commits. The whole of it runs again after deadlocks, serialization
   * failures and lock time-outs, and once when the connection was lost before COMMIT was sent. Inside, only `tx` may be used.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /**
   * A connection of its own for work that needs a session (advisory locks, DDL, LISTEN): of Citus to the coordinator, wherever the
   * others lead. Closed when `work` ends.
   */
  session<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** How many pooled connections are open, in use and waited for. */
  poolUse(): { readonly open: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

export interface Session extends Transaction {
  /** Runs DDL or several statements without values, one after another; on an error those behind it are left out. */
  script(text: string): Promise<void>;
}

export function createDatabase(options: DatabaseOptions): Database {
  const hosts = options.hosts ?? createHosts(options.url);
  const pulse = pulseOf({ ...options, hosts }, () => pool.lookElsewhere());
  const bounded = { ...options, hosts, ...(pulse === null ? {} : { openSocket: pulse.openSocket }) };
  const during: Pulse['during'] = pulse?.during ?? ((work) => work());
  const pool = createPooled(bounded, options.poolSize);
  const shards = createShardMap();
  const limitMs = answerLimitMs(options.statementTimeoutMs);
  const coordinator = createCoordinatorLine({ ...options, hosts, statementTimeoutMs: 0 });
  const readers = createReadClients(bounded, options.readClients);

  return {
    read: (statement) => during(() => wrapped(() => readers.read(statement))),
    query: (statement) => during(() => queryOnce(pool, statement, limitMs)),
    transaction: (work, transactionOptions = {}) =>
      during(() =>
        withRetry(
          (attempt) =>
            runTransaction(pool.checkOut, work, {
              ...transactionOptions,
              connectionLossIsFinal: attempt > 1,
              shards,
              answerLimitMs: answerLimitMs(transactionOptions.statementTimeoutMs ?? options.statementTimeoutMs),
            }),
          (error) => isTransient(error) || (isImpossible(error) && shards.forget()),
        ),
      ),
    session: (work) =>
      wrapped(async () => {
        const client = await coordinator.open();
        try {
          return await work({
            ...sessionOf(client, shards),
            async script(text) {
              for (const one of statementsOf(text)) await client.query(one);
            },
          });
        } finally {
          await client.end();
        }
      }),
    poolUse: pool.use,
    async close() {
      await during(() => Promise.all([pool.close(), readers.close()]));
      pulse?.close();
    },
  };
}

async function queryOnce<Row>(pool: Pooled, statement: Statement<Row>, limitMs: number): Promise<Row[]> {
  const client = await pool.checkOut();
  try {
    const rows = rowsOf(statement, await answerWithin(client, limitMs, client.query(queryConfig(statement))));
    client.release();
    return rows;
  } catch (error) {
    const wrapped = toStorageError(error);
    client.release(isSpoilt(wrapped));
    throw wrapped;
  }
}

function pulseOf(options: DatabaseOptions & { readonly hosts: Hosts }, onSilence: () => void): Pulse | null {
  if (options.pulse === undefined) return null;
  const { onChange } = options.pulse;
  return createPulse({
    onChange(answers) {
      if (!answers) onSilence();
      onChange?.(answers);
    },
    // The host that is used now, whatever it is: whether there is a better one is found out when it falls silent.
    connect: (openSocket) => connectTo(options.hosts.current(), { ...options, connectTimeoutMs: 0, openSocket }, {}),
    silenceMs,
    connectTimeoutMs: options.connectTimeoutMs,
  });
}

async function wrapped<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStorageError(error);
  }
}
