import { DomainError } from '../core/errors.ts';
import { StorageError, sqlstateOf } from '../storage/faults.ts';

/** What a failure means for a run. */
export type Trouble =
  /** A row of the batch cannot be done: find it. */
  | { readonly kind: 'row'; readonly code: string; readonly detail: string }
  /** The database is away: wait until it answers. */
  | { readonly kind: 'away'; readonly reason: string }
  /** Somebody holds the rows: try again for as long as it takes. */
  | { readonly kind: 'busy'; readonly reason: string }
  /** May pass: try again some times, then fail. */
  | { readonly kind: 'passing'; readonly reason: string; readonly message: string; readonly smaller: boolean }
  | { readonly kind: 'final'; readonly message: string };

export const awayReason = 'the database does not answer';

export function troubleOf(error: unknown): Trouble {
  if (error instanceof DomainError) return { kind: 'row', code: error.code, detail: error.message };
  if (!(error instanceof StorageError)) return { kind: 'final', message: messageOf(error) };
  const { fault } = error;
  const sqlstate = fault?.sqlstate ?? null;
  if (error.code === 'commit_unknown') return { kind: 'away', reason: awayReason };
  switch (fault?.kind) {
    case 'unavailable':
      return { kind: 'away', reason: awayReason };
    case 'serialization':
    case 'lock_timeout':
      return { kind: 'busy', reason: 'the rows are locked by another transaction' };
    case 'unique':
    case 'data':
      return { kind: 'row', code: sqlstate ?? 'data', detail: harmlessText(error) };
    case 'timeout':
      return passing('a batch took too long', 'A batch took longer than the database allows, with few rows too.', true);
    case 'disk_full':
      return passing(
        'the disk of the database is full',
        'The disk of the database is full. Free space, then resume the run: it goes on where it stopped.',
        false,
      );
    case 'read_only':
      return passing(
        'the database accepts no writes',
        'The database accepts no writes (a standby?). Point DATABASE_URL at the primary, then resume the run.',
        false,
      );
    case 'permission':
      return {
        kind: 'final',
        message: `The database refuses the user: ${harmlessText(error)}. Grant it, then resume the run.`,
      };
    default:
      // P0001 and its like: a trigger of the table refused the row.
      if (sqlstate?.startsWith('P0') === true) return { kind: 'row', code: sqlstate, detail: harmlessText(error) };
      return { kind: 'final', message: `${error.message} (${harmlessText(error)})` };
  }
}

const passing = (reason: string, message: string, smaller: boolean): Trouble => ({
  kind: 'passing',
  reason,
  message,
  smaller,
});

/** What PostgreSQL says without the values of the row, which may be secret: `invalid input syntax for type uuid`. */
function harmlessText(error: StorageError): string {
  const { cause } = error;
  if (!(cause instanceof Error) || sqlstateOf(cause) === null) return error.message;
  return cause.message.replace(/: ".*$/s, '');
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The run belongs to somebody else now: nothing may be committed, the process stops working at it. */
export class LostRunError extends Error {
  constructor() {
    super('Another process has taken the run over.');
    this.name = 'LostRunError';
  }
}

/** The run is no longer to be worked at: it was paused, cancelled, or this process is to stop. */
export class StoppedError extends Error {
  constructor() {
    super('The run was stopped.');
    this.name = 'StoppedError';
  }
}
