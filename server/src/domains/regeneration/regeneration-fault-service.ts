import { StorageError } from '../../storage/faults.ts';

/**
 * The same fault without the database's own words: "Failing row contains (…)", or the text of a trigger, may hold old or new
 * values, and what is thrown reaches logs, the list of failed rows and the terminal.
 */
export function withoutValues(error: unknown): unknown {
  if (!(error instanceof StorageError) || error.fault === null || error.fault.sqlstate === null) return error;
  const { sqlstate } = error.fault;
  const isTrigger = sqlstate.startsWith('P0');
  const constraint = constraintOf(error.cause);
  const message = isTrigger
    ? 'A trigger of the table refused the new value.'
    : constraint !== null
      ? `The constraint "${constraint}" refused the new value.`
      : error.message;
  return new StorageError(error.code, message, { fault: error.fault });
}

function constraintOf(cause: unknown): string | null {
  if (!(cause instanceof Error) || !('constraint' in cause)) return null;
  return typeof cause.constraint === 'string' && cause.constraint !== '' ? cause.constraint : null;
}
