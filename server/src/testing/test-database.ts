import { randomBytes } from 'node:crypto';
import { afterAll, inject } from 'vitest';
import { withAdmin, withDatabase } from './admin.ts';
import { templateName } from './test-server.ts';

export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** Connection string of a superuser. */
  readonly url: string;
  /** Drops the database. @throws Error naming the connections that are still open 2 s later */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions {
  /** false: an empty database, for tests of the migrations themselves. Default true. */
  readonly migrated?: boolean;
}

/**
 * A database of this test file's own, dropped when its tests have ended. Call it at the top of the file, before other hooks:
 * `const { url } = await testDatabase();`. What the file opens on it, it closes in its own afterAll, else the file fails.
 */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const database = await createTestDatabase(options);
  // Vitest runs afterAll hooks last in, first out: the file's own close their connections before this one.
  afterAll(() => database.drop());
  return database;
}

/** The same for one test or one hook: `await using database = await createTestDatabase();` */
export async function createTestDatabase({ migrated = true }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const adminUrl = inject('adminUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const template = migrated ? templateName : 'template0';
  await withAdmin(adminUrl, (admin) => admin.query(`create database ${name} template ${template}`));
  const drop = () => dropDatabase(adminUrl, name);
  return { name, url: withDatabase(adminUrl, name), drop, [Symbol.asyncDispose]: drop };
}

const closingGraceMs = 2_000;

interface OpenConnection {
  readonly application: string;
  readonly state: string;
  readonly query: string;
}

function dropDatabase(adminUrl: string, name: string): Promise<void> {
  return withAdmin(adminUrl, async (admin) => {
    const selectOpen = `select application_name as application, state, left(query, 200) as query
      from pg_stat_activity where datname = $1 and backend_type = 'client backend'`;
    const deadlineMs = Date.now() + closingGraceMs;
    let open: OpenConnection[];
    do {
      ({ rows: open } = await admin.query<OpenConnection>(selectOpen, [name]));
    } while (open.length > 0 && Date.now() < deadlineMs && (await pause()));
    await admin.query(`drop database if exists ${name} with (force)`);
    if (open.length > 0)
      throw new Error(`${open.length} connections were left open to ${name}:\n${open.map(line).join('\n')}`);
  });
}

const line = ({ application, state, query }: OpenConnection) => `- ${application} (${state}): ${query}`;

const pause = () => new Promise<true>((resolve) => setTimeout(resolve, 20, true));
