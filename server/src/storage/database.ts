import pg from 'pg';
import { type ConnectionOptions, clientConfig, connect } from './connection.ts';
import { toStorageError } from './faults.ts';
import { createPulse, type Pulse } from './pulse.ts';
import { queryConfig, rowsOf } from './query-config.ts';
import { createReadClients } from './read-clients.ts';
import { isTransient, withRetry } from './retry.ts';
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
  /** A connection of its own for work that needs a session (advisory locks, DDL, LISTEN). Closed when `work` ends. */
  session<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** How many pooled connections are open, in use and waited for. */
  poolUse(): { readonly open: number; readonly idle: number; readonly waiting: number };
  close(): Promise<void>;
}

export interface Session extends Transaction {
  /** Runs DDL or several statements without values. */
  script(text: string): Promise<void>;
}

export function createDatabase(options: DatabaseOptions): Database {
  const pulse = pulseOf(options);
  const bounded = pulse === null ? options : { ...options, openSocket: pulse.openSocket };
  const during: Pulse['during'] = pulse?.during ?? ((work) => work());
  const pool = new pg.Pool({ ...clientConfig(bounded), max: options.poolSize, idleTimeoutMillis: 30_000 });
  // An idle connection that dies is dropped by the pool; the next user gets a new one or an error of its own.
  pool.on('error', () => {});
  // One that dies between two statements of a transaction has nobody else listening: without this the process would end. The
  // next statement reports the loss.
  pool.on('connect', (client) => client.on('error', () => {}));
  const readers = createReadClients(bounded, options.readClients);

  return {
    read: (statement) => during(() => wrapped(() => readers.read(statement))),
    query: (statement) =>
      during(() => wrapped(async () => rowsOf(statement, await pool.query(queryConfig(statement))))),
    transaction: (work, transactionOptions = {}) =>
      during(() =>
        withRetry(
          (attempt) => runTransaction(pool, work, { ...transactionOptions, connectionLossIsFinal: attempt > 1 }),
          isTransient,
        ),
      ),
    session: (work) =>
      wrapped(async () => {
        const client = await connect({ ...options, statementTimeoutMs: 0 });
        try {
          return await work({ ...sessionOf(client), script: async (text) => void (await client.query(text)) });
        } finally {
          await client.end();
        }
      }),
    poolUse: () => ({ open: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    async close() {
      await during(() => Promise.all([pool.end(), readers.close()]));
      pulse?.close();
    },
  };
}

function pulseOf(options: DatabaseOptions): Pulse | null {
  if (options.pulse === undefined) return null;
  return createPulse({
    ...options.pulse,
    connect: (openSocket) => connect({ ...options, connectTimeoutMs: 0, openSocket }),
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
