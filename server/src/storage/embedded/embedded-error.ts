/**
 * What can go wrong with the embedded PostgreSQL, one stable code for each thing a person has to do about it.
 * The message is always a whole sentence that says what to do; it needs no stack to be understood.
 */
export type EmbeddedErrorCode =
  | 'unsupported_platform'
  | 'binaries_missing'
  | 'binaries_damaged'
  | 'missing_library'
  | 'no_account'
  | 'not_owner'
  | 'not_writable'
  | 'path_too_long'
  | 'disk_full'
  | 'wrong_major'
  | 'not_a_cluster'
  | 'foreign_server'
  | 'held_by_clients'
  | 'busy'
  | 'init_failed'
  | 'start_failed'
  | 'start_timeout'
  | 'stop_timeout';

export class EmbeddedError extends Error {
  readonly code: EmbeddedErrorCode;

  constructor(code: EmbeddedErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'EmbeddedError';
    this.code = code;
  }
}

/** The `code` of a Node system error ("ENOENT"), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const NOT_WRITABLE = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST']);
const DISK_FULL = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Turns a file system error met below `folder` into a sentence; errors that are none of a person's business
 * (and errors that already are a sentence) come back unchanged.
 */
export function explainFileError(error: unknown, folder: string): unknown {
  if (error instanceof EmbeddedError) return error;
  const code = systemCode(error);
  if (code !== undefined && DISK_FULL.has(code)) return diskFull(folder, error);
  if (code !== undefined && NOT_WRITABLE.has(code)) {
    return new EmbeddedError(
      'not_writable',
      `The data folder ${folder} cannot be written by this user (${code}). Give --data-dir a folder you own, or correct the permissions of this one.`,
      { cause: error },
    );
  }
  return error;
}

export function diskFull(folder: string, cause?: unknown): EmbeddedError {
  return new EmbeddedError(
    'disk_full',
    `The disk that holds ${folder} is full. Free some space (embedded PostgreSQL needs about 100 MB to begin with, and up to 4 GB for its log under load) or choose another place with --data-dir, then start again.`,
    { cause },
  );
}
