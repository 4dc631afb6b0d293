import { connect } from './connection.ts';
import { StorageError, toStorageError } from './faults.ts';
import { pendingMigrations } from './migrator.ts';

/**
 * Names of the migrations that a database lacks.
 * @throws StorageError `storage_unavailable`; `schema_mismatch` when a newer version migrated it
 */
export async function findPendingMigrations(url: string, connectTimeoutMs: number): Promise<string[]> {
  try {
    const client = await connect({ url, connectTimeoutMs, applicationName: 'milliard', statementTimeoutMs: 0 });
    try {
      return await pendingMigrations(client);
    } finally {
      await client.end();
    }
  } catch (error) {
    throw toStorageError(error);
  }
}

/** @throws StorageError `schema_mismatch` when the database lacks migrations, with what to do */
export async function requireMigrated(url: string, connectTimeoutMs: number): Promise<void> {
  const pending = await findPendingMigrations(url, connectTimeoutMs);
  if (pending.length === 0) return;
  throw new StorageError(
    'schema_mismatch',
    `The database lacks ${pending.length} migrations (${pending.join(', ')}). Run \`milliard migrate\` first.`,
  );
}
