import type { Socket } from 'node:net';
import pg from 'pg';
import { pgTypes } from './pg-types.ts';

export interface ConnectionOptions {
  /** A PostgreSQL connection string. */
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** A statement that takes longer is cancelled (57014). 0 = never. */
  readonly statementTimeoutMs: number;
  /** How long a new connection may take. */
  readonly connectTimeoutMs: number;
  /** Makes the socket; default: the driver does. */
  readonly openSocket?: () => Socket;
  /** Further settings of the session. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** The driver's settings for one connection. The session speaks UTC and ISO whatever the server, role or system says. */
export function clientConfig(options: ConnectionOptions): pg.ClientConfig {
  const { url, sessionOptions } = splitOptions(options.url);
  return {
    connectionString: url,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    ...(options.openSocket === undefined ? {} : { stream: options.openSocket }),
    types: pgTypes,
    // The driver lets a connection string's own options replace these, so they are joined here; the last one named counts.
    options: [
      ...sessionOptions,
      '-c TimeZone=UTC',
      '-c DateStyle=ISO',
      '-c IntervalStyle=postgres',
      '-c extra_float_digits=1',
      // An ordered page is cut after some rows; compiling its plan costs more than it ever saves.
      '-c jit=off',
      `-c statement_timeout=${options.statementTimeoutMs}`,
      // A transaction whose process hangs must not hold its locks for ever.
      '-c idle_in_transaction_session_timeout=60000',
      ...Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`),
    ].join(' '),
  };
}

/** Takes `?options=-c search_path=…` out of a connection string. */
function splitOptions(url: string): { url: string; sessionOptions: string[] } {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const found = parsed?.searchParams.get('options') ?? null;
  if (parsed === null || found === null) return { url, sessionOptions: [] };
  parsed.searchParams.delete('options');
  return { url: parsed.href, sessionOptions: [found] };
}

/** Opens one connection of its own, outside the pool. */
export async function connect(options: ConnectionOptions, extra: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ ...clientConfig(options), ...extra });
  // A connection that dies while idle emits 'error'; whoever uses it next is told by its query.
  client.on('error', () => {});
  await client.connect();
  return client;
}
