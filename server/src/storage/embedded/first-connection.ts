import pg from 'pg';
import { DATABASE_NAME } from './cluster.ts';
import { diskFull, EmbeddedError, systemCode } from './embedded-error.ts';
import { connectionUrl } from './socket-path.ts';

const NOT_YET = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', '57P01', '57P02', '57P03']);
const NO_SUCH_DATABASE = '3D000';
const TOO_MANY_CONNECTIONS = '53300';
const DATABASE_EXISTS = new Set(['42P04', '23505']);
const DISK_FULL = '53100';

/**
 * Connects once, which is the proof that the server serves, and makes the database when it is not there yet.
 * Returns false when the server is not ready (it starts, or it has just begun to stop).
 */
export async function connectOnce(socketDir: string, dataDir: string): Promise<boolean> {
  try {
    await withClient(connectionUrl(socketDir), async () => undefined);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === TOO_MANY_CONNECTIONS) return true;
    if (code === NO_SUCH_DATABASE) return createDatabase(socketDir, dataDir);
    if (isNotYet(error)) return false;
    throw refused(dataDir, error);
  }
}

async function createDatabase(socketDir: string, dataDir: string): Promise<boolean> {
  try {
    await withClient(connectionUrl(socketDir, 'postgres'), async (client) => {
      await client.query(`create database ${DATABASE_NAME}`);
    });
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code !== undefined && DATABASE_EXISTS.has(code)) return true;
    if (code === DISK_FULL) throw diskFull(dataDir, error);
    if (isNotYet(error)) return false;
    throw refused(dataDir, error);
  }
}

function isNotYet(error: unknown): boolean {
  const code = systemCode(error);
  if (code !== undefined) return NOT_YET.has(code);
  return error instanceof Error && /terminated unexpectedly|Connection ended|timeout expired/.test(error.message);
}

async function withClient(connectionString: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis: 30_000,
    application_name: 'milliard launcher',
  });
  // A server that goes away in between tells so by an event as well; without a listener it would end this process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

function refused(dataDir: string, cause: unknown): EmbeddedError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new EmbeddedError(
    'start_failed',
    `The embedded PostgreSQL of ${dataDir} runs, but refuses the connection: ${said}. Look at ${dataDir}/postgres/pg_hba.conf and the log in ${dataDir}/postgres/log.`,
    { cause },
  );
}
