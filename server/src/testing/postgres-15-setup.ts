import type { TestProject } from 'vitest/node';
import { findPostgres15, startPostgres15 } from './postgres-15.ts';
import { serveProject, testSettings } from './test-server.ts';

/** Vitest's global set-up of the project "db on PostgreSQL 15". */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const bin = findPostgres15();
  if (bin === null) throw new Error('No PostgreSQL 15 found; vitest.config.ts leaves this project out in that case.');
  return serveProject(project, await startPostgres15(bin, testSettings));
}
