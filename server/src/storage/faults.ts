/** What kind of trouble the database reported, by SQLSTATE; never by message (Citus changes messages and leaves names out). */
export type FaultKind =
  | 'unavailable' // no connection, shutting down, starting up, too many connections
  | 'serialization' // 40001, 40P01: the same transaction may succeed when run again
  | 'lock_timeout' // 55P03
  | 'timeout' // 57014: statement_timeout or a cancel
  | 'unique' // 23505
  | 'data' // this row cannot be stored: classes 22 and 23 but for 23505, and class 54 (too long for an index)
  | 'missing_object' // 42P01, 3F000, 42883: the schema is older or newer than this code
  | 'missing_database' // 3D000
  | 'disk_full' // 53100
  | 'read_only' // 25006: a standby
  | 'permission' // 42501, 28xxx
  | 'other';

export interface Fault {
  readonly kind: FaultKind;
  /** Five characters, or null when the connection failed before the database could answer. */
  readonly sqlstate: string | null;
}

const exact: Readonly<Record<string, FaultKind>> = {
  '40001': 'serialization',
  '40P01': 'serialization',
  '55P03': 'lock_timeout',
  '57014': 'timeout',
  '57P01': 'unavailable',
  '57P02': 'unavailable',
  '57P03': 'unavailable',
  '57P05': 'unavailable',
  '53300': 'unavailable',
  '53400': 'unavailable',
  '53100': 'disk_full',
  '23505': 'unique',
  '42P01': 'missing_object',
  '42703': 'missing_object',
  '42883': 'missing_object',
  '3F000': 'missing_object',
  '3D000': 'missing_database',
  '25006': 'read_only',
  '42501': 'permission',
};

const byClass: Readonly<Record<string, FaultKind>> = {
  '08': 'unavailable',
  '22': 'data',
  '23': 'data',
  '28': 'permission',
  '54': 'data',
  // Citus reports the loss of a worker in mid-flight as an internal error (notes: failures).
  XX: 'unavailable',
};

/** The SQLSTATE of an error that the database sent, or null. */
export function sqlstateOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  return 'severity' in error && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : null;
}

/** Classifies an error thrown by the driver. An error without SQLSTATE is a lost or refused connection. */
export function classifyFault(error: unknown): Fault {
  const sqlstate = sqlstateOf(error);
  if (sqlstate === null) return { kind: isConnectionFault(error) ? 'unavailable' : 'other', sqlstate };
  if (isCopyOfCitus(error)) return { kind: sqlstate === '58030' ? 'unavailable' : 'unique', sqlstate };
  return { kind: exact[sqlstate] ?? byClass[sqlstate.slice(0, 2)] ?? 'other', sqlstate };
}

/**
 * COPY on Citus hides the SQLSTATE of the node that refused a row behind XX000, and behind 58030 a node that was lost. What is refused
 * is nearly always a key that is there: whoever falls back on INSERT learns the true state.
 */
const isCopyOfCitus = (error: unknown): boolean =>
  error instanceof Error && 'routine' in error && error.routine === 'ReportCopyError';

const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOTSOCK',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
]);

// The driver throws plain errors without a code when a connection ends; these are its own words, not the server's.
const driverWords =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Client was closed|Query read timeout|Cannot use a pool after)/;

function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.some(isConnectionFault);
  if ('code' in error && typeof error.code === 'string') return socketCodes.has(error.code) || isSocketMissing(error);
  return driverWords.test(error.message);
}

/** A socket file that is not there or not ours to use; the same codes come from files that have nothing to do with a database. */
const isSocketMissing = (error: Error): boolean =>
  'code' in error &&
  (error.code === 'ENOENT' || error.code === 'EACCES') &&
  'syscall' in error &&
  error.syscall === 'connect';

export type StorageErrorCode =
  | 'storage_unavailable'
  | 'storage_overloaded'
  | 'storage_timeout'
  | 'commit_unknown'
  | 'storage_full'
  | 'storage_read_only'
  | 'schema_mismatch'
  | 'storage_fault';

/** The database could not do its part. `code` says what the caller can do; the cause is for the log only. */
export class StorageError extends Error {
  readonly code: StorageErrorCode;
  readonly fault: Fault | null;

  constructor(code: StorageErrorCode, message: string, options: ErrorOptions & { fault?: Fault } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StorageError';
    this.code = code;
    this.fault = options.fault ?? null;
  }
}

/**
 * What the transaction was made ready with holds no longer: the layout of a customer, or the lease of this process. It wrote nothing;
 * made ready anew it may succeed.
 */
export class SupersededError extends StorageError {
  constructor(message: string) {
    super('storage_overloaded', message);
    this.name = 'SupersededError';
  }
}

const codeOfKind: Readonly<Record<FaultKind, [StorageErrorCode, string]>> = {
  unavailable: ['storage_unavailable', 'The database cannot be reached. Try again shortly.'],
  serialization: ['storage_overloaded', 'The database is too busy with the same rows. Try again shortly.'],
  lock_timeout: ['storage_overloaded', 'The rows are locked by another operation. Try again shortly.'],
  timeout: ['storage_timeout', 'The database did not answer in time. Ask for less, or try again.'],
  disk_full: ['storage_full', 'The disk of the database is full. Free space, then try again.'],
  read_only: [
    'storage_read_only',
    'The database accepts no writes now (a standby?). Point DATABASE_URL at the primary.',
  ],
  missing_object: ['schema_mismatch', 'The schema of the database does not fit this version. Run `milliard migrate`.'],
  missing_database: [
    'storage_fault',
    'The database that DATABASE_URL names does not exist. Create it, then run `milliard migrate`.',
  ],
  permission: ['storage_fault', 'The database refuses the user of DATABASE_URL.'],
  unique: ['storage_fault', 'The database refused a row.'],
  data: ['storage_fault', 'The database refused a row.'],
  other: ['storage_fault', 'The database reported an unexpected fault.'],
};

/** Wraps a driver error once; an error that is no driver error (a bug, a DomainError) is passed through. */
export function toStorageError(error: unknown): unknown {
  const fault = classifyFault(error);
  if (fault.sqlstate === null && fault.kind === 'other') return error;
  const [code, message] = codeOfKind[fault.kind];
  return new StorageError(code, message, { cause: error, fault });
}
