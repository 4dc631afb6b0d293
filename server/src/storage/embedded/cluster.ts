import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, chown, lchown, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Binaries } from './binaries.ts';
import { EmbeddedError, systemCode } from './embedded-error.ts';
import { explainOutput, explainSpawnError } from './output-faults.ts';
import { type Account, fileOwner, programCall, type RunAs } from './run-as.ts';
import { type Settings, settingsFile } from './server-settings.ts';

/** The PostgreSQL user and the database that Milliard works with. */
export const DATABASE_USER = 'milliard';
export const DATABASE_NAME = 'milliard';

const DEFAULTS_FILE = 'milliard-defaults.conf';

export interface Cluster {
  /** "18" */
  readonly major: string;
  readonly owner: Account;
}

/**
 * The cluster in a folder, or null when there is none yet.
 * @throws EmbeddedError not_owner, not_a_cluster
 */
export async function findCluster(clusterDir: string): Promise<Cluster | null> {
  try {
    const { uid, gid } = await stat(clusterDir);
    if (process.getuid?.() !== 0 && uid !== process.getuid?.()) throw systemError('EACCES');
    const names = await readdir(clusterDir);
    if (names.length === 0) return null;
    if (!names.includes('PG_VERSION')) throw notACluster(clusterDir);
    return { major: (await readFile(join(clusterDir, 'PG_VERSION'), 'utf8')).trim(), owner: { uid, gid } };
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    if (systemCode(error) === 'ENOTDIR') throw notACluster(clusterDir);
    if (systemCode(error) !== 'EACCES') throw error;
    throw new EmbeddedError(
      'not_owner',
      `The data in ${clusterDir} belongs to another user. Run this command as that user, or give --data-dir a folder of your own.`,
      { cause: error },
    );
  }
}

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

function notACluster(clusterDir: string): EmbeddedError {
  return new EmbeddedError(
    'not_a_cluster',
    `${clusterDir} is there, but is no PostgreSQL data folder. Move it away, or give --data-dir another folder.`,
  );
}

/** @throws EmbeddedError wrong_major when the data were made by another major version than the one at hand. */
export function checkMajor(cluster: Cluster, dataDir: string, binaries: Binaries): void {
  if (cluster.major === binaries.major) return;
  throw new EmbeddedError(
    'wrong_major',
    `The data in ${dataDir} were made by PostgreSQL ${cluster.major}, but this version of Milliard brings PostgreSQL ${binaries.major}, which cannot read them. ` +
      `Either go on with the version of Milliard that made them, or serve them with a PostgreSQL ${cluster.major} of your own and set DATABASE_URL, ` +
      `or begin anew with an empty folder: move ${dataDir} away or give --data-dir another one.`,
  );
}

/**
 * Makes a cluster in a folder beside its final place and renames it, so that a kill at any point leaves either the
 * whole cluster or none. Leftovers of earlier kills are removed. Call it under the folder's mutex.
 * @throws EmbeddedError init_failed, missing_library, disk_full, unsupported_platform
 */
export async function initCluster(options: {
  readonly clusterDir: string;
  readonly binaries: Binaries;
  readonly runAs: RunAs;
  /** Do not wait for the disk: for clusters that are thrown away. */
  readonly throwAway: boolean;
}): Promise<void> {
  const { clusterDir, binaries, runAs } = options;
  await sweepDrafts(clusterDir);
  const draft = `${clusterDir}.init-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(draft, { mode: 0o700 });
    await giveTo(draft, fileOwner(runAs));
    const args = ['--no-locale', '--encoding=UTF8', '-U', DATABASE_USER, '--auth=trust'];
    if (options.throwAway) args.push('--no-sync');
    const program = { nativeDir: binaries.nativeDir, name: 'initdb', folder: draft } as const;
    await run(programCall(runAs, program, args), dirname(clusterDir));
    await appendFile(join(draft, 'postgresql.conf'), INCLUDE_DEFAULTS);
    await rename(draft, clusterDir);
    if (!options.throwAway) await syncFolder(dirname(clusterDir));
  } catch (error) {
    await removeFolder(draft);
    throw error;
  }
}

/** Makes the new name durable: without it, a power failure could leave acknowledged data under the name of a draft. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

// In PostgreSQL's configuration the last line about a setting wins.
const INCLUDE_DEFAULTS = `
# Milliard's settings, written anew at each start:
include_if_exists = '${DEFAULTS_FILE}'
# Your own settings, which win over them:
`;

async function run(call: ReturnType<typeof programCall>, dataDir: string): Promise<void> {
  await new Promise<void>((done, fail) => {
    // Its own process group: a Ctrl-C in the terminal is for this process to handle.
    const child = spawn(call.file, call.args, { ...call.options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => fail(explainSpawnError(call.file, error)));
    child.once('close', (status, signal) => {
      if (status === 0) done();
      else
        fail(explainOutput('initialise', dataDir, signal === null ? output : `${output}\ninitdb ended by ${signal}`));
    });
  });
}

async function sweepDrafts(clusterDir: string): Promise<void> {
  const folder = dirname(clusterDir);
  const prefix = `${basename(clusterDir)}.init-`;
  for (const name of await readdir(folder)) if (name.startsWith(prefix)) await removeFolder(join(folder, name));
}

/** Best effort: the initdb of a killed process may still write there; the next start finds what is left. */
async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}

/** Gives a root-owned cluster to the account that shall run the server, the folder itself last: it marks the end. */
export async function adoptCluster(clusterDir: string, cluster: Cluster, runAs: RunAs): Promise<void> {
  const owner = fileOwner(runAs);
  if (runAs.kind !== 'setuid' || cluster.owner.uid === owner.uid) return;
  const entries = await readdir(clusterDir, { recursive: true });
  for (const entry of entries) await lchown(join(clusterDir, entry), owner.uid, owner.gid);
  await lchown(clusterDir, owner.uid, owner.gid);
}

/** Writes the file that postgresql.conf includes. Never through a link that the server's account could have put there. */
export async function writeDefaults(clusterDir: string, settings: Settings, runAs: RunAs): Promise<void> {
  const draft = join(clusterDir, `.${DEFAULTS_FILE}-${randomBytes(4).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(settingsFile(settings));
    const owner = fileOwner(runAs);
    if (runAs.kind === 'setuid') await file.chown(owner.uid, owner.gid);
  } finally {
    await file.close();
  }
  await rename(draft, join(clusterDir, DEFAULTS_FILE));
}

async function giveTo(path: string, owner: Account): Promise<void> {
  if (owner.uid !== process.getuid?.()) await chown(path, owner.uid, owner.gid);
}
