import { afterAll } from 'vitest';
import { createDatabase, type Database, type DatabaseOptions } from '../storage/database.ts';
import { testDatabase } from './test-database.ts';

/** A client of `url` with a small pool. Whoever opens it closes it. */
export const createTestClient = (url: string, options: Partial<DatabaseOptions> = {}): Database =>
  createDatabase({
    url,
    applicationName: 'milliard test client',
    poolSize: 5,
    readClients: 2,
    statementTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    ...options,
  });

/** A migrated database of the test file's own and a client of it; both go when the tests of the file have ended. */
export async function openTestDatabase(options: Partial<DatabaseOptions> = {}): Promise<{ db: Database; url: string }> {
  const { url } = await testDatabase();
  const db = createTestClient(url, options);
  afterAll(() => db.close());
  return { db, url };
}
