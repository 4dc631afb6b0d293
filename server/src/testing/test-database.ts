import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, inject } from 'vitest';
import { withAdmin, withDatabase } from './admin.ts';
import { emptyCitusTemplateName, templateName } from './test-server.ts';

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
  const nodeUrls = inject('nodeUrls');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const empty = nodeUrls.length > 1 ? emptyCitusTemplateName : 'template0';
  const template = migrated ? templateName : empty;
  await onEach(nodeUrls, async (admin) => {
    await admin.query(`create database ${name} template ${template}`);
    // Settings of a database do not come with its template.
    if (migrated && nodeUrls.length > 1) await admin.query(`alter database ${name} set jit = off`);
  });
  const drop = async () => {
    const left = await dropDatabase(adminUrl, name);
    // Workers have only the connections of the coordinator's sessions.
    await onEach(nodeUrls.slice(1), (admin) => dropNow(admin, name));
    if (left !== null) throw left;
  };
  return { name, url: withDatabase(adminUrl, name), drop, [Symbol.asyncDispose]: drop };
}

const onEach = (urls: readonly string[], work: (admin: pg.Client) => Promise<unknown>): Promise<unknown> =>
  Promise.all(urls.map((url) => withAdmin(url, work)));

/** Again while it is in use (55006): the maintenance daemon of Citus comes back as soon as it was ended. */
async function dropNow(admin: pg.Client, name: string): Promise<void> {
  const isDropped = await admin.query(`drop database if exists ${name} with (force)`).then(
    () => true,
    (error: { code?: string }) => {
      if (error.code !== '55006') throw error;
      return false;
    },
  );
  if (!isDropped) await dropNow(admin, name);
}

const closingGraceMs = 2_000;

interface OpenConnection {
  readonly application: string;
  readonly state: string;
  readonly query: string;
}

/** @returns what to complain of when all is gone */
function dropDatabase(adminUrl: string, name: string): Promise<Error | null> {
  return withAdmin(adminUrl, async (admin) => {
    // Citus's own sessions between nodes end by themselves.
    const selectOpen = `select application_name as application, state, left(query, 200) as query
      from pg_stat_activity where datname = $1 and backend_type = 'client backend' and application_name not like 'citus_%'`;
    const deadlineMs = Date.now() + closingGraceMs;
    let open: OpenConnection[];
    do {
      ({ rows: open } = await admin.query<OpenConnection>(selectOpen, [name]));
    } while (open.length > 0 && Date.now() < deadlineMs && (await pause()));
    await dropNow(admin, name);
    if (open.length === 0) return null;
    return new Error(`${open.length} connections were left open to ${name}:\n${open.map(line).join('\n')}`);
  });
}

const line = ({ application, state, query }: OpenConnection) => `- ${application} (${state}): ${query}`;

const pause = () => new Promise<true>((resolve) => setTimeout(resolve, 20, true));
