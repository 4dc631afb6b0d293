import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findPostgres15 } from './server/src/testing/postgres-15.ts';
import { createSummaryReporter, type NotRun } from './server/src/testing/summary-reporter.ts';

const everyCase = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const missing: NotRun[] = [];

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  test: { name, pool: 'forks', exclude: ['**/node_modules/**', '**/dist/**'], ...test },
});

const unit = project('unit', {
  include: ['{server,scripts,bench}/**/*.test.ts'],
  exclude: ['**/node_modules/**', '**/dist/**', '**/*.{db,process}.test.ts'],
});

const databaseOn = (server: string, setup: string) =>
  project(`db on ${server}`, {
    include: ['server/**/*.db.test.ts'],
    globalSetup: `server/src/testing/${setup}`,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  });

const databases = [databaseOn('embedded PostgreSQL 18', 'embedded-18-setup.ts')];
if (findPostgres15() !== null) {
  databases.push(databaseOn('PostgreSQL 15', 'postgres-15-setup.ts'));
} else {
  missing.push({
    tests: 'database tests on PostgreSQL 15',
    lack: 'no PostgreSQL 15 found (apt install postgresql-15, or name its bin folder in MILLIARD_TEST_PG15_BIN)',
  });
}

// Real processes are killed and restarted here: alone, after all others, each given the time a busy machine may take.
const processes = project('process', {
  include: ['server/**/*.process.test.ts'],
  fileParallelism: false,
  sequence: { groupOrder: 1 },
  testTimeout: everyCase ? 3_600_000 : 180_000,
  hookTimeout: 120_000,
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [unit, ...databases, processes],
    reporters: ['default', createSummaryReporter(missing)],
  },
});
