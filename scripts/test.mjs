// `npm test [-- vitest arguments]`: installs and builds what is missing, then runs the tests. `--faults` runs each fault
// test at its full count. `--citus` runs the database tests on Citus instead, and the tests of its failing nodes. With CI=true,
// whatever an existing test can use must be on the machine, but for Citus.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrap } from './bootstrap.mjs';
import { fail, root, run } from './steps.mjs';

const faultsFlag = '--faults';
const citusFlag = '--citus';
const citusProjects = ['--project', 'db on Citus', '--project', 'process on Citus'];

await bootstrap().catch(fail);
process.exitCode = await test(process.argv.slice(2));

async function test(args) {
  const dir = mkdtempSync(join(tmpdir(), 'milliard-test-'));
  try {
    const file = join(dir, 'summary.json');
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const given = args.filter((arg) => arg !== faultsFlag && arg !== citusFlag);
    const vitestArgs = args.includes(citusFlag) ? [...citusProjects, ...given] : given;
    const { code } = await run(process.execPath, [vitest, 'run', ...vitestArgs], { env: testEnv(args, file) });
    return conclude(code, readSummary(file));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

// A developer's own settings and database are no business of the tests.
function testEnv(args, summaryFile) {
  const kept = Object.entries(process.env).filter(
    ([name]) => name.startsWith('MILLIARD_TEST_') || !/^(MILLIARD_|DATABASE_URL$|REDIS_URL$|PG[A-Z]+$)/.test(name),
  );
  const faults = args.includes(faultsFlag) ? { MILLIARD_TEST_FAULTS: 'full' } : {};
  const citus = args.includes(citusFlag) ? { MILLIARD_TEST_CITUS: '1' } : {};
  return { ...Object.fromEntries(kept), ...faults, ...citus, MILLIARD_TEST_SUMMARY: summaryFile };
}

function readSummary(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function conclude(code, summary) {
  if (summary === undefined) {
    console.log('\nThe test run broke off before it had a result.\n0 passed, 1 failed');
    return code || 1;
  }
  const { passed, skipped, missing, skippedWithNote } = summary;
  // Vitest knows failures that belong to no test, such as a global set-up: they must show in the last line too.
  const failed = summary.failed || (code === 0 ? 0 : 1);
  const notRun = [...missing, ...skippedWithNote].map(({ tests, lack }) => `- ${tests}: ${lack}`);
  console.log(notRun.length === 0 ? '\nnot run: nothing' : `\nnot run:\n${notRun.join('\n')}`);
  const incomplete = process.env.CI === 'true' && missing.some(({ optional }) => !optional);
  if (incomplete) console.log('With CI=true this is an error: .ci/run installs what is missing.');
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return code || (failed > 0 || incomplete ? 1 : 0);
}
