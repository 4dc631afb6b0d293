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
  readonly redisUrl: string | null;
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
  MILLIARD_CURRENCY: 'currency of orders that name none, ISO 4217 (EUR)',
  MILLIARD_GROUP_COMMIT: 'on or off; off is for measuring (on)',
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
  const faults: string[] = [];
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('MILLIARD_') || name.startsWith('MILLIARD_TEST_') || name in known) continue;
    faults.push(`${name} is not a setting. Known: ${Object.keys(known).join(', ')}`);
  }
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
  const url = (name: 'DATABASE_URL' | 'REDIS_URL', schemes: readonly string[]): string | null => {
    const value = environment[name];
    if (value === undefined || value === '') return null;
    if (schemes.some((scheme) => value.startsWith(`${scheme}://`))) return value;
    // The value is not repeated: it may hold a password.
    faults.push(`${name} must begin with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`);
    return null;
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
    },
    database: {
      url: url('DATABASE_URL', ['postgres', 'postgresql']),
      dataDir: text('MILLIARD_DATA_DIR', flags.dataDir, '.milliard'),
      poolSize: integer('MILLIARD_POOL_SIZE', [2, 1_000], 10),
      readClients: integer('MILLIARD_READ_CLIENTS', [1, 100], 3),
      statementTimeoutMs: integer('MILLIARD_STATEMENT_TIMEOUT_MS', [0, 3_600_000], 10_000),
      connectTimeoutMs: integer('MILLIARD_CONNECT_TIMEOUT_MS', [100, 60_000], 1_500),
    },
    redisUrl: url('REDIS_URL', ['redis', 'rediss']),
    currency: currency ?? ('EUR' as Currency),
    groupCommit: choice('MILLIARD_GROUP_COMMIT', ['on', 'off'], 'on') === 'on',
    logLevel: choice('MILLIARD_LOG_LEVEL', logLevels, 'info'),
  };
  if (faults.length > 0) throw new ConfigError(faults);
  Object.freeze(config.http);
  Object.freeze(config.database);
  return Object.freeze(config);
}
