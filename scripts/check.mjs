// `npm run check`: everything about the code that can be judged without running it, and the committed snapshots.
// Every check runs even when one before it failed; the end names those that did.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { bootstrap } from './bootstrap.mjs';
import { fail, root, run, since } from './steps.mjs';

const bin = (name) => join(root, 'node_modules/.bin', name);
const nativeTypescript = join(root, 'node_modules/typescript-native/bin/tsc');
const schemaTest = 'server/src/storage/schema.db.test.ts';
const openapiCommand = 'server/src/cli/commands/openapi.ts';

/** Each check gives what is wrong as text; '' means nothing. */
const CHECKS = [
  ['format and lint', command(bin('biome'), ['ci', '--error-on-warnings', '--colors=off', '.'])],
  ['types of the server', command(nativeTypescript, ['--noEmit', '-p', 'server'])],
  ['types of bench and scripts', command(nativeTypescript, ['--noEmit', '-p', '.'])],
  ['layers', command(bin('depcruise'), ['--config', '.dependency-cruiser.cjs', 'server/src'])],
  ['dead code', command(bin('knip'), [])],
  ['lock file', command('npm', ['ci', '--dry-run', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])],
  ['names of machines', namesOfMachines],
  ['build', command(process.execPath, ['scripts/build.mjs'])],
  ['schema snapshot', whenThere(schemaTest, command(bin('vitest'), ['run', '--reporter=dot', schemaTest]))],
  [
    'OpenAPI snapshot',
    whenThere(openapiCommand, command(process.execPath, ['server/dist/main.js', 'openapi', '--check'])),
  ],
];

await bootstrap({ builds: false }).catch(fail);
process.exitCode = await check();

async function check() {
  const failed = [];
  for (const [name, judge] of CHECKS) {
    const startMs = performance.now();
    const faults = await judge();
    console.log(`${faults === '' ? 'ok    ' : 'FAILED'} ${name} (${since(startMs)})`);
    if (faults === '') continue;
    failed.push(name);
    console.log(faults.trimEnd());
  }
  console.log(failed.length === 0 ? `\nAll ${CHECKS.length} checks pass.` : `\nFailed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}

function command(file, args) {
  return async () => {
    const { code, output } = await run(file, args, { capture: true });
    return code === 0 ? '' : output || `ended with code ${code}`;
  };
}

function whenThere(file, judge) {
  return () => (existsSync(join(root, file)) ? judge() : `${file} is missing`);
}

/** Lines that name a package registry or a folder of this machine: both break on other machines. */
async function namesOfMachines() {
  const { code, output } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    capture: true,
  });
  if (code !== 0) return `git cannot list the files: ${output}`;
  const here = [dirname(root), homedir()].filter((folder) => !['/', '/tmp'].includes(folder));
  const forbidden = [
    /https?:\/\/registry\./,
    ...here.map((folder) => new RegExp(`(?<![\\w/.])${folder.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}/`)),
  ];
  const files = output.split('\0').filter((file) => file !== '' && isSmallFile(file));
  return files.flatMap((file) => linesWith(file, forbidden)).join('\n');
}

function linesWith(file, patterns) {
  const lines = readFileSync(join(root, file), 'utf8').split('\n');
  return lines.flatMap((line, index) =>
    patterns.some((pattern) => pattern.test(line)) ? [`${file}:${index + 1}: ${line.trim().slice(0, 160)}`] : [],
  );
}

function isSmallFile(file) {
  const stats = statSync(join(root, file), { throwIfNoEntry: false });
  return stats?.isFile() === true && stats.size < 2_000_000;
}
