import { isIP } from 'node:net';
import { type Currency, parseCurrency } from './core/money.ts';

/** Every setting, parsed once. Parts get only what they need of it. */
export interface Config {
  readonly http: {
    readonly host: string;
    readonly port: number;
    /** Bytes of a JSON body. */
    readonly bodyLimitBytes: number;
    /** Outcomes of a bulk request that the client does not read yet, on disk. */
    readonly spoolLimitBytes: number;
    /** How often one address may ask the public tracking in a minute. */
    readonly trackRequestsPerMinute: number;
    /** The proxies whose X-Forwarded-For is believed: addresses, networks, or names of them. None: it is ignored. */
    readonly trustProxy: readonly string[];
    /** SIGTERM: how long it is only told by /readyz, and how long kept connections may stay idle after that. */
    readonly drain: { readonly noticeMs: number; readonly idleMs: number };
  };
  readonly database: {
    /** Null: embedded PostgreSQL in `dataDir`. */
    readonly url: string | null;
    readonly dataDir: string;
    readonly poolSize: number;
    readonly readClients: number;
    readonly statementTimeoutMs: number;
    readonly connectTimeoutMs: number;
  };
  readonly usage: {
    /** Days before today that take raw usage when a database is new. */
    readonly rawDays: number;
    /** A batch waits so long at least before it is rolled up. */
    readonly rollupPauseMs: number;
    /** Days before today whose raw usage is kept; null: it is never dropped by itself. */
    readonly keepRawDays: number | null;
  };
  readonly redisUrl: string | null;
  readonly cache: {
    readonly enabled: boolean;
    /** Of process memory, estimated. */
    readonly memoryBytes: number;
    /** How old an answer may be while the database does not answer. */
    readonly graceMs: number;
  };
  readonly currency: Currency;
  readonly groupCommit: boolean;
  readonly logLevel: LogLevel;
}

export const logLevels = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Settings that flags of the command line override. */
export interface ConfigFlags {
  readonly port?: string;
  readonly host?: string;
  readonly dataDir?: string;
}

/** All faults of the configuration at once. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`The configuration is not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** Networks that have names: 127.0.0.0/8 and ::1, 169.254.0.0/16 and fe80::/10, the private networks of RFC 1918 and fc00::/7. */
const trustedNames = ['loopback', 'linklocal', 'uniquelocal'];

const known = {
  MILLIARD_PORT: 'port to listen on (8000)',
  MILLIARD_HOST: 'address to listen on (127.0.0.1)',
  MILLIARD_DATA_DIR: 'folder of the embedded database (.milliard)',
  MILLIARD_POOL_SIZE: 'connections for writes and longer reads (10)',
  MILLIARD_READ_CLIENTS: 'pipelined connections for short reads (3)',
  MILLIARD_STATEMENT_TIMEOUT_MS: 'longest statement of a request in ms, 0 = none (10000)',
  MILLIARD_CONNECT_TIMEOUT_MS: 'longest wait for a connection to the database in ms (1500)',
  MILLIARD_BODY_LIMIT_BYTES: 'largest JSON body in bytes (1048576)',
  MILLIARD_SPOOL_LIMIT_BYTES:
    'disk for outcomes of a bulk request that the client has not read yet, in bytes (1073741824)',
  MILLIARD_TRACK_REQUESTS_PER_MINUTE: 'public tracking: requests a minute that one client address may make (120)',
  MILLIARD_TRUST_PROXY: `proxies whose X-Forwarded-For tells the client's address: off, or addresses and networks with commas between, e.g. 10.0.0.5,172.16.0.0/12, or ${trustedNames.join(', ')} (off)`,
  MILLIARD_DRAIN_NOTICE_MS:
    'serve, SIGTERM: how long /readyz says 503 before connections are refused, for balancers that ask it, in ms (0)',
  MILLIARD_DRAIN_IDLE_MS:
    'serve, SIGTERM: how long a kept connection may stay idle before it is closed, in ms; longer than the balancer keeps one (3000)',
  MILLIARD_USAGE_RAW_DAYS: 'days before today that take raw usage when a database is new (14)',
  MILLIARD_USAGE_ROLLUP_MS: 'least pause between two rollups of usage in ms (1000)',
  MILLIARD_USAGE_KEEP_RAW_DAYS:
    'raw usage of earlier days is dropped, sums stay: how many days before today are kept (unset: all)',
  MILLIARD_CURRENCY: 'currency of orders and shipments that name none, ISO 4217 (EUR)',
  MILLIARD_GROUP_COMMIT: 'on or off; off is for measuring (on)',
  MILLIARD_CACHE: 'on or off; off is for measuring (on)',
  MILLIARD_CACHE_MEMORY_BYTES: 'process memory for cached shipments and orders, in bytes (268435456)',
  MILLIARD_CACHE_GRACE_MS:
    'how old a cached answer may be while the database does not answer, marked as stale, in ms (600000)',
  MILLIARD_LOG_LEVEL: `one of ${logLevels.join(', ')} (info)`,
} as const;

type Name = keyof typeof known;
export type Environment = Readonly<Record<string, string | undefined>>;

/** Every variable with its meaning and default, for `--help` and the documentation. */
export const configVariables: Readonly<Record<string, string>> = {
  DATABASE_URL: 'connection string of PostgreSQL 15 or newer (unset: embedded PostgreSQL)',
  REDIS_URL: 'Redis or Valkey for the shared cache (unset: cache in process only)',
  ...known,
};

/**
 * Reads the environment and the flags; a flag wins. Names that begin with MILLIARD_TEST_ belong to the tests.
 * @throws ConfigError naming every fault, unknown MILLIARD_ variables included
 */
export function parseConfig(environment: Environment, flags: ConfigFlags = {}): Config {
  const faults = unknownNames(environment);
  const text = (name: Name, flag: string | undefined, fallback: string): string => {
    const value = flag ?? environment[name] ?? fallback;
    if (value === '') faults.push(`${name} is empty: leave it out or give a value (${known[name]})`);
    return value;
  };
  const integer = (name: Name, range: readonly [number, number], fallback: number): number => {
    const flag = name === 'MILLIARD_PORT' ? flags.port : undefined;
    const value = text(name, flag, String(fallback));
    if (value === '') return fallback;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (number >= range[0] && number <= range[1]) return number;
    faults.push(
      `${flag === undefined ? name : `--port`} is "${value}": give a whole number from ${range[0]} to ${range[1]} (${known[name]})`,
    );
    return fallback;
  };
  const choice = <T extends string>(name: Name, choices: readonly T[], fallback: T): T => {
    const value = text(name, undefined, fallback);
    const found = choices.find((candidate) => candidate === value);
    if (found === undefined && value !== '') faults.push(`${name} is "${value}": give one of ${choices.join(', ')}`);
    return found ?? fallback;
  };
  const currencyCode = text('MILLIARD_CURRENCY', undefined, 'EUR');
  const currency = parseCurrency(currencyCode);
  if (currency === null && currencyCode !== '')
    faults.push(`MILLIARD_CURRENCY is "${currencyCode}": give an ISO 4217 code such as EUR`);

  const config: Config = {
    http: {
      host: text('MILLIARD_HOST', flags.host, '127.0.0.1'),
      port: integer('MILLIARD_PORT', [0, 65_535], 8_000),
      bodyLimitBytes: integer('MILLIARD_BODY_LIMIT_BYTES', [1_024, 2 ** 28], 2 ** 20),
      spoolLimitBytes: integer('MILLIARD_SPOOL_LIMIT_BYTES', [0, 2 ** 40], 2 ** 30),
      trackRequestsPerMinute: integer('MILLIARD_TRACK_REQUESTS_PER_MINUTE', [1, 1_000_000], 120),
      trustProxy: readProxies(text('MILLIARD_TRUST_PROXY', undefined, 'off'), faults),
      drain: {
        noticeMs: integer('MILLIARD_DRAIN_NOTICE_MS', [0, 600_000], 0),
        idleMs: integer('MILLIARD_DRAIN_IDLE_MS', [0, 600_000], 3_000),
      },
    },
    database: {
      url: readUrl(environment, 'DATABASE_URL', faults),
      dataDir: text('MILLIARD_DATA_DIR', flags.dataDir, '.milliard'),
      poolSize: integer('MILLIARD_POOL_SIZE', [2, 1_000], 10),
      readClients: integer('MILLIARD_READ_CLIENTS', [1, 100], 3),
      statementTimeoutMs: integer('MILLIARD_STATEMENT_TIMEOUT_MS', [0, 3_600_000], 10_000),
      connectTimeoutMs: integer('MILLIARD_CONNECT_TIMEOUT_MS', [100, 60_000], 1_500),
    },
    usage: readUsage(environment, integer),
    redisUrl: readUrl(environment, 'REDIS_URL', faults),
    cache: {
      enabled: choice('MILLIARD_CACHE', ['on', 'off'], 'on') === 'on',
      memoryBytes: integer('MILLIARD_CACHE_MEMORY_BYTES', [2 ** 20, 2 ** 36], 2 ** 28),
      graceMs: integer('MILLIARD_CACHE_GRACE_MS', [0, 86_400_000], 600_000),
    },
    currency: currency ?? ('EUR' as Currency),
    groupCommit: choice('MILLIARD_GROUP_COMMIT', ['on', 'off'], 'on') === 'on',
    logLevel: choice('MILLIARD_LOG_LEVEL', logLevels, 'info'),
  };
  if (faults.length > 0) throw new ConfigError(faults);
  for (const part of [config.http.drain, config.http, config.database, config.usage]) Object.freeze(part);
  Object.freeze(config.cache);
  return Object.freeze(config);
}

const readUsage = (
  environment: Environment,
  integer: (name: Name, range: readonly [number, number], fallback: number) => number,
): Config['usage'] => ({
  rawDays: integer('MILLIARD_USAGE_RAW_DAYS', [0, 365], 14),
  rollupPauseMs: integer('MILLIARD_USAGE_ROLLUP_MS', [10, 60_000], 1_000),
  keepRawDays:
    environment['MILLIARD_USAGE_KEEP_RAW_DAYS'] === undefined
      ? null
      : integer('MILLIARD_USAGE_KEEP_RAW_DAYS', [0, 36_500], 0),
});

const unknownNames = (environment: Environment): string[] =>
  Object.keys(environment)
    .filter((name) => name.startsWith('MILLIARD_') && !name.startsWith('MILLIARD_TEST_') && !(name in known))
    .map((name) => `${name} is not a setting. Known: ${Object.keys(known).join(', ')}`);

const urlSchemes = { DATABASE_URL: ['postgres', 'postgresql'], REDIS_URL: ['redis', 'rediss'] } as const;

function readUrl(environment: Environment, name: keyof typeof urlSchemes, faults: string[]): string | null {
  const value = environment[name];
  if (value === undefined || value === '') return null;
  const schemes = urlSchemes[name];
  if (schemes.some((scheme) => value.startsWith(`${scheme}://`))) return value;
  // The value is not repeated: it may hold a password.
  faults.push(`${name} must begin with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`);
  return null;
}

/** Proxies with commas between; none for `off`. "Everybody" is no choice: who connects would then say himself where he comes from. */
function readProxies(value: string, faults: string[]): readonly string[] {
  if (value === 'off' || value === '') return [];
  const words = value.split(',').map((word) => word.trim());
  const meaning = known.MILLIARD_TRUST_PROXY;
  for (const word of words.filter((one) => !isProxy(one))) {
    faults.push(`MILLIARD_TRUST_PROXY holds "${word}": give off, or the addresses of your proxies (${meaning})`);
  }
  return words;
}

/** An address, a network (`10.0.0.0/8`), or the name of one. A network of everything (`/0`) trusts everybody and is refused. */
function isProxy(word: string): boolean {
  if (trustedNames.includes(word)) return true;
  const [address = '', prefix, ...more] = word.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return prefix === undefined || (/^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}
