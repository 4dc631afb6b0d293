import { type SpawnOptions, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedError } from './embedded-error.ts';

/**
 * PostgreSQL refuses to run as root, and its programs want an account that /etc/passwd knows. Three ways:
 *  - direct: this process is an ordinary user;
 *  - userns: a user namespace in which this user looks like `nobody`. Files keep their owner, so the data may lie in a
 *    folder that only root can read; the kernel or the container may forbid it;
 *  - setuid (root only): the server runs as another account, to which its data folder is given.
 */
export type RunAs =
  | { readonly kind: 'direct' }
  | { readonly kind: 'userns'; readonly uid: number; readonly gid: number }
  | { readonly kind: 'setuid'; readonly uid: number; readonly gid: number };

/** Programs are looked up where systems keep theirs, never by what the environment of the caller says. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Nothing is handed on: PGDATA, PGOPTIONS or LD_LIBRARY_PATH of the caller would change the server. C means English. */
const SERVER_ENV = { PATH: SYSTEM_PATH, LC_ALL: 'C' };

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Chooses the way for a cluster.
 * @throws EmbeddedError not_owner, no_account
 */
export async function chooseRunAs(options: {
  /** Of an existing cluster; null before the first start. */
  readonly owner: Account | null;
  readonly dataDir: string;
  readonly nativeDir: string;
  /** Do as if user namespaces were forbidden (tests). */
  readonly forceSetuid?: boolean;
}): Promise<RunAs> {
  const { owner, dataDir } = options;
  const ownUid = process.getuid?.() ?? 0;
  const ownGid = process.getgid?.() ?? 0;
  if (ownUid !== 0) {
    if (owner !== null && owner.uid !== ownUid) throw notOwner(dataDir, owner.uid);
    if (await hasAccount(ownUid)) return { kind: 'direct' };
  }
  // A cluster that another account began stays that account's, so that it can go on with it.
  if (ownUid === 0 && owner !== null && owner.uid !== 0) return { kind: 'setuid', uid: owner.uid, gid: owner.gid };
  const nobody = (await findAccount('nobody')) ?? { uid: 65534, gid: 65534 };
  if (options.forceSetuid !== true && (await namespaceWorks(nobody, options))) return { kind: 'userns', ...nobody };
  if (ownUid !== 0) throw noAccountFor(ownUid, ownGid);
  const account = (await findAccount('postgres')) ?? (await findAccount('nobody'));
  if (account === null || account.uid === 0) throw noAccountForRoot();
  return { kind: 'setuid', ...account };
}

/** The account that owns the server's files under this way of running. */
export function fileOwner(runAs: RunAs): Account {
  if (runAs.kind === 'setuid') return { uid: runAs.uid, gid: runAs.gid };
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/** A program call that `spawn` takes. `folder` (the cluster) becomes the working folder. */
export interface Call {
  readonly file: string;
  readonly args: readonly string[];
  readonly options: SpawnOptions;
}

/** Builds the call of one of PostgreSQL's programs on the cluster in `folder`; `-D` is added here. */
export function programCall(
  runAs: RunAs,
  program: { nativeDir: string; name: 'initdb' | 'postgres'; folder: string },
  args: readonly string[],
): Call {
  const file = join(program.nativeDir, 'bin', program.name);
  const options: SpawnOptions = { cwd: program.folder, env: SERVER_ENV };
  switch (runAs.kind) {
    case 'direct':
      return { file, args: ['-D', program.folder, ...args], options };
    case 'userns':
      return { file: 'unshare', args: [...unshareArgs(runAs), file, '-D', program.folder, ...args], options };
    case 'setuid': {
      // The working folder is entered before root's rights are given up, so a folder above may be closed to the account.
      const folder = process.platform === 'linux' ? '/proc/self/cwd' : program.folder;
      return { file, args: ['-D', folder, ...args], options: { ...options, uid: runAs.uid, gid: runAs.gid } };
    }
  }
}

function unshareArgs(account: Account): string[] {
  return ['-U', `--map-user=${account.uid}`, `--map-group=${account.gid}`, '--'];
}

/** Tries it out on the very folders: inside, root has no more rights than their owner and the mode bits give. */
async function namespaceWorks(account: Account, place: { dataDir: string; nativeDir: string }): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  const test = 'test -x "$1/bin/postgres" && test -r "$1/lib" && cd "$2" && test -w .';
  const args = [...unshareArgs(account), '/bin/sh', '-c', test, 'sh', place.nativeDir, place.dataDir];
  return (await output('unshare', args)) !== null;
}

async function hasAccount(uid: number): Promise<boolean> {
  // `id -un` asks the name service, as PostgreSQL does; it is not at hand everywhere, the file nearly so.
  if ((await output('id', ['-un', String(uid)])) !== null) return true;
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return passwd.split('\n').some((line) => line.split(':')[2] === String(uid));
}

async function findAccount(name: string): Promise<Account | null> {
  const uid = await output('id', ['-u', name]);
  const gid = await output('id', ['-g', name]);
  return uid === null || gid === null ? null : { uid: Number(uid), gid: Number(gid) };
}

/** What a program printed, trimmed; null when it failed or does not exist. */
async function output(file: string, args: readonly string[]): Promise<string | null> {
  return new Promise((done) => {
    const child = spawn(file, args, { cwd: '/', env: SERVER_ENV, stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.once('error', () => done(null));
    child.once('close', (status) => done(status === 0 ? text.trim() : null));
  });
}

function notOwner(dataDir: string, uid: number): EmbeddedError {
  return new EmbeddedError(
    'not_owner',
    `The data in ${dataDir} belongs to another user (uid ${uid}). Run this command as that user, or give --data-dir a folder of your own.`,
  );
}

function noAccountFor(uid: number, gid: number): EmbeddedError {
  return new EmbeddedError(
    'no_account',
    `PostgreSQL needs an account with a name, but uid ${uid} (gid ${gid}) has none in /etc/passwd and user namespaces are not allowed here. Run as a user that exists, or set DATABASE_URL to a PostgreSQL server of your own.`,
  );
}

function noAccountForRoot(): EmbeddedError {
  return new EmbeddedError(
    'no_account',
    'PostgreSQL refuses to run as root; user namespaces are not allowed here and there is neither an account "postgres" nor "nobody" to run it. Start Milliard as an ordinary user, or set DATABASE_URL to a PostgreSQL server of your own.',
  );
}
