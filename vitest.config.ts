import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { findCitus } from './server/src/testing/citus-cluster.ts';
import { findNginx } from './server/src/testing/nginx.ts';
import { findPostgres15 } from './server/src/testing/postgres-15.ts';
import { findRedisServer } from './server/src/testing/redis-server.ts';
import { createSummaryReporter, type NotRun } from './server/src/testing/summary-reporter.ts';

const everyCase = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const missing: NotRun[] = [];

const project = (name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration => ({
  test: { name, pool: 'forks', exclude: ['**/node_modules/**', '**/dist/**'], ...test },
});

const unit = project('unit', {
  include: ['{server,scripts,bench}/**/*.test.ts'],
  // Some look through all sources, and the machine may be busy.
  testTimeout: 30_000,
  exclude: ['**/node_modules/**', '**/dist/**', '**/*.{db,process,citus}.test.ts'],
});

const databaseOn = (server: string, setup: string, more: TestProjectInlineConfiguration['test'] = {}) =>
  project(`db on ${server}`, {
    include: ['server/**/*.db.test.ts'],
    globalSetup: `server/src/testing/${setup}`,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    ...more,
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

// The whole of the database tests once more takes minutes, so they run on Citus only when asked for: `npm run test:citus`.
const citusAsked = process.env['MILLIARD_TEST_CITUS'] === '1';
const citusFound = process.env['MILLIARD_TEST_CITUS_URL'] !== undefined || findCitus() !== null;
const toFindCitus =
  'no PostgreSQL with the extension Citus found (name its bin folder in MILLIARD_TEST_CITUS_BIN, or a coordinator in MILLIARD_TEST_CITUS_URL)';
if (citusAsked && !citusFound) throw new Error(`The tests on Citus did NOT run: ${toFindCitus}.`);
const citusProjects = [
  databaseOn('Citus', 'citus-setup.ts', { testTimeout: 120_000, hookTimeout: 120_000 }),
  // Clusters of their own whose nodes are killed and frozen: alone, after all others.
  project('process on Citus', {
    include: ['server/**/*.citus.test.ts'],
    fileParallelism: false,
    sequence: { groupOrder: 2 },
    testTimeout: everyCase ? 3_600_000 : 300_000,
    hookTimeout: 300_000,
  }),
];
if (!citusAsked) {
  missing.push({
    tests: 'database tests on Citus, and what a cluster does when its nodes fail',
    lack: citusFound ? 'run them with npm run test:citus' : `${toFindCitus}; then npm run test:citus`,
    optional: true,
  });
}

// Tests of processes that need more than Node: their files are left out where that is missing.
const leftOut: string[] = [];
function leaveOut(files: string, tests: string, needed: Readonly<Record<string, unknown>>): void {
  const lacking = Object.keys(needed).filter((name) => needed[name] === null);
  if (lacking.length === 0) return;
  leftOut.push(files);
  missing.push({ tests, lack: `missing: ${lacking.join('; ')}` });
}
const nginx = { 'nginx (apt install nginx, or name it in MILLIARD_TEST_NGINX)': findNginx() };
leaveOut('**/nginx.process.test.ts', 'what the shipped nginx.conf does when servers fail', nginx);
leaveOut('**/topology.process.test.ts', 'servers restarted behind nginx under load', {
  ...nginx,
  'PostgreSQL 15 (apt install postgresql-15, or name its bin folder in MILLIARD_TEST_PG15_BIN)': findPostgres15(),
  'redis-server (apt install redis-server, or name it in MILLIARD_TEST_REDIS_SERVER)': findRedisServer(),
});
leaveOut('**/usage-direct-writes.process.test.ts', 'what psql writes past the API is in the sums', {
  'psql of PostgreSQL 15 (apt install postgresql-15, or name its bin folder in MILLIARD_TEST_PG15_BIN)':
    findPostgres15(),
});

const redis = {
  'redis-server (apt install redis-server, or name it in MILLIARD_TEST_REDIS_SERVER)': findRedisServer(),
};
leaveOut('**/redis-layer.process.test.ts', 'what the cache does with a real Redis', redis);
leaveOut('**/cache-redis.process.test.ts', 'two servers and a Redis that is killed and restarted', redis);

// Real processes are killed and restarted here: alone, after all others, each given the time a busy machine may take.
const processes = project('process', {
  include: ['server/**/*.process.test.ts'],
  exclude: ['**/node_modules/**', '**/dist/**', ...leftOut],
  fileParallelism: false,
  sequence: { groupOrder: 1 },
  testTimeout: everyCase ? 3_600_000 : 180_000,
  hookTimeout: 120_000,
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: citusAsked ? [unit, ...databases, ...citusProjects, processes] : [unit, ...databases, processes],
    reporters: ['default', createSummaryReporter(missing)],
  },
});
