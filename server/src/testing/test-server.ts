import type {} from 'vitest';
import type { TestProject } from 'vitest/node';
import { migrate } from '../storage/migrator.ts';
import { withAdmin, withDatabase } from './admin.ts';

/** A running PostgreSQL of which the tests may do as they please. */
export interface TestServer {
  /** Connection string of a superuser to a maintenance database. */
  readonly url: string;
  stop(): Promise<void>;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Connection string of the project's PostgreSQL, superuser; see TestServer. */
    adminUrl: string;
    /** The same of every node that test databases are made on: of Citus the coordinator first, else `adminUrl` alone. */
    nodeUrls: readonly string[];
  }
}

/** The migrated database that each test database is a copy of. */
export const templateName = 'milliard_template';

/** Of Citus: a database that knows its nodes and holds nothing. Elsewhere PostgreSQL's own template0 is that. */
export const emptyCitusTemplateName = 'milliard_empty_template';

/** Nothing here must survive a crash, and many test files share the server. */
export const testSettings = {
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  max_locks_per_transaction: '256',
} as const;

/** Makes the template and tells the project's tests where their server is. Returns the teardown; stops the server on failure. */
export async function serveProject(project: TestProject, server: TestServer): Promise<() => Promise<void>> {
  try {
    await withAdmin(server.url, (admin) => admin.query(`create database ${templateName}`));
    await migrate({ url: withDatabase(server.url, templateName) });
    // A connection to the template would keep others from copying it.
    await withAdmin(server.url, (admin) => admin.query(`alter database ${templateName} with allow_connections false`));
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide('adminUrl', server.url);
  project.provide('nodeUrls', [server.url]);
  return () => server.stop();
}
