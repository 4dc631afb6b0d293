import type { Socket } from 'node:net';
import pg from 'pg';
import { classifyFault, StorageError } from './faults.ts';
import { createHosts, type Hosts, type SessionFacts, suits } from './hosts.ts';
import { pgTypes } from './pg-types.ts';

export interface ConnectionOptions {
  /** A PostgreSQL connection string; it may name several hosts (hosts.ts). */
  readonly url: string;
  /** Those of `url`, shared by the connections of one client, so that all go where one found a server. */
  readonly hosts?: Hosts;
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

/**
 * What a session on Citus needs (measured: 4 to 6 times the reads of all shards, 4 times the batches); a server without Citus takes
 * them as settings it does not know, so nobody has to be asked first.
 */
const citusSettings = [
  // One connection to each node at a time instead of one to each shard.
  '-c citus.max_adaptive_executor_pool_size=1',
  '-c citus.max_cached_conns_per_worker=16',
  '-c citus.node_connection_timeout=2s',
  // Else the coordinator lets one statement at a time write to several shards, and the next one waits for the end of its transaction:
  // a long one would hold up everybody. Rows are written in one order, and what deadlocks all the same is run again.
  '-c citus.enable_deadlock_prevention=off',
];

/**
 * The driver's settings for one connection, to the host that is preferred. The session speaks UTC and ISO whatever the server, role
 * or system says.
 */
export function clientConfig(options: ConnectionOptions): pg.ClientConfig {
  const { url, sessionOptions } = splitOptions(options.hosts?.current() ?? options.url);
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
      ...citusSettings,
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

/**
 * Opens one connection of its own, outside the pool, to the first host that will do.
 * @throws StorageError `storage_unavailable` when several hosts are named and none will do; else what the driver throws
 */
export async function connect(options: ConnectionOptions, extra: pg.ClientConfig = {}): Promise<pg.Client> {
  const hosts = options.hosts ?? createHosts(options.url);
  if (!hosts.isChoice) return connectTo(hosts.current(), options, extra);
  const rounds = hosts.target === 'prefer-standby' ? [true, false] : [true];
  let cause: unknown = null;
  for (const first of rounds) {
    for (const url of hosts.inOrder()) {
      const tried = await connectTo(url, options, extra).catch((error: unknown) => {
        // A server that refuses the user or the database was found: the others would be no better.
        if (classifyFault(error).kind !== 'unavailable') throw error;
        cause = error;
      });
      if (tried === undefined) continue;
      if (isSuitable(tried, hosts, first)) {
        hosts.prefer(url);
        return tried;
      }
      await tried.end();
    }
  }
  throw noHost(hosts, cause);
}

/** Opens a connection to this one host, whatever it is. */
export async function connectTo(url: string, options: ConnectionOptions, extra: pg.ClientConfig): Promise<pg.Client> {
  const { hosts: _, ...single } = options;
  const client = newClient({ ...clientConfig({ ...single, url }), ...extra });
  // A connection that dies while idle emits 'error'; whoever uses it next is told by its query.
  client.on('error', () => {});
  await client.connect();
  return client;
}

const factsOf = new WeakMap<pg.ClientBase, { -readonly [Name in keyof SessionFacts]: boolean }>();

/** A client of the driver that remembers what the server says of itself when it connects. */
export function newClient(config: pg.ClientConfig): pg.Client {
  const client = new pg.Client(config);
  const facts = { isStandby: false, isReadOnly: false };
  factsOf.set(client, facts);
  const { connection } = client as pg.Client & { readonly connection: pg.Connection };
  connection.on('parameterStatus', ({ parameterName, parameterValue }: Record<string, string>) => {
    if (parameterName === 'in_hot_standby') facts.isStandby = parameterValue === 'on';
    if (parameterName === 'default_transaction_read_only') facts.isReadOnly = parameterValue === 'on';
  });
  return client;
}

/** @param first on the first of two rounds over the hosts, where a preference counts */
export function isSuitable(client: pg.ClientBase, { target }: Hosts, first: boolean): boolean {
  const facts = factsOf.get(client);
  return facts !== undefined && suits(target, facts, first);
}

/** Counts as a database that cannot be reached: a fail-over may be under way. */
export const noHost = ({ target }: Hosts, cause: unknown): StorageError =>
  new StorageError(
    'storage_unavailable',
    `None of the hosts that DATABASE_URL names can be reached and is what it asks for (target_session_attrs=${target}).`,
    { cause, fault: { kind: 'unavailable', sqlstate: null } },
  );
