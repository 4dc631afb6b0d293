// Bundles server/src into server/dist: main.js, its source map and the SQL migrations.
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Advice, fail, report, root, since } from './steps.mjs';

const source = join(root, 'server/src');
const migrations = join(source, 'storage/migrations');
const dist = join(root, 'server/dist');
const stamp = join(dist, '.inputs');

/** Builds server/dist unless its inputs are the same as last time. A server that runs from it is not disturbed. */
export async function build() {
  if (isBuilt()) {
    report('build: up to date');
    return;
  }
  const inputs = hashOfInputs();
  const startMs = performance.now();
  mkdirSync(dist, { recursive: true });
  // Inside dist: a rename is atomic only on one file system.
  const staging = mkdtempSync(join(dist, '.building-'));
  try {
    await bundle(staging);
    rmSync(stamp, { force: true });
    publish(staging);
    writeFileSync(stamp, inputs);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  report(`build: server/dist in ${since(startMs)}`);
}

/** True when server/dist was built from what stands in server/src now. */
export const isBuilt = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOfInputs();

async function bundle(outdir) {
  const esbuild = await import('esbuild');
  const options = {
    entryPoints: [join(source, 'main.ts')],
    outdir,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'linked',
    logLevel: 'warning',
  };
  try {
    await esbuild.build(options);
  } catch (cause) {
    throw new Advice('the server does not build; the errors stand above.', { cause });
  } finally {
    // Its helper process would live as long as the server that runs in this process.
    await esbuild.stop();
  }
}

function publish(staging) {
  const target = join(dist, 'migrations');
  mkdirSync(target, { recursive: true });
  const names = migrationNames();
  for (const name of names) replace(join(target, name), readFileSync(join(migrations, name)));
  for (const name of readdirSync(target)) if (!names.includes(name)) rmSync(join(target, name));
  for (const name of ['main.js.map', 'main.js']) renameSync(join(staging, name), join(dist, name));
}

function replace(path, content) {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}

const migrationNames = () =>
  existsSync(migrations) ? readdirSync(migrations).filter((name) => name.endsWith('.sql')) : [];

function hashOfInputs() {
  const hash = createHash('sha256');
  const files = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  for (const file of [...files, join(root, 'package-lock.json'), join(root, 'scripts/build.mjs')]) {
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return `${hash.digest('hex')}\n`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await build().catch(fail);
