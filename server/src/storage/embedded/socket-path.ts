import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DATABASE_NAME, DATABASE_USER } from './cluster.ts';
import { EmbeddedError, systemCode } from './embedded-error.ts';
import { SOCKET_FILE, SOCKET_PORT } from './postmaster-pid.ts';

// sockaddr_un holds 108 bytes on Linux and 104 on macOS, one of them the final zero.
const MAX_SOCKET_PATH_BYTES = 103;

const fits = (folder: string): boolean => Buffer.byteLength(join(folder, SOCKET_FILE)) <= MAX_SOCKET_PATH_BYTES;

/**
 * A path to the cluster's folder that is short enough for the address of a socket: the folder itself or a symlink in a
 * private folder below the temporary folder. The socket always lies in the cluster (the server is bound to "."), so
 * whoever cleans the temporary folder cuts nobody off: the link is made again by the next client.
 * @throws EmbeddedError path_too_long, not_writable
 */
export async function socketDirFor(clusterDir: string, temporaryDir: string = tmpdir()): Promise<string> {
  if (fits(clusterDir)) return clusterDir;
  const folder = join(temporaryDir, `milliard-${process.getuid?.() ?? 0}`);
  const path = join(folder, createHash('sha256').update(clusterDir).digest('hex').slice(0, 16));
  if (!fits(path)) {
    throw new EmbeddedError(
      'path_too_long',
      `The path ${clusterDir} is too long for a socket, and so is the temporary folder ${temporaryDir}. Give --data-dir a shorter path.`,
    );
  }
  await makePrivateFolder(folder);
  if ((await readlink(path).catch(() => null)) !== clusterDir) {
    const draft = `${path}.${randomBytes(4).toString('hex')}`;
    await symlink(clusterDir, draft);
    await rename(draft, path);
  }
  return path;
}

/** Removes the symlink, if there is one, once the server is down. */
export async function removeSocketDir(clusterDir: string, socketDir: string): Promise<void> {
  if (socketDir !== clusterDir) await rm(socketDir, { force: true });
}

/** Everybody can write to the temporary folder: what lies there is used only when nobody else can have made it. */
async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  const entry = await lstat(folder);
  if (entry.isDirectory() && entry.uid === process.getuid?.() && (entry.mode & 0o077) === 0) return;
  throw new EmbeddedError(
    'not_writable',
    `The folder ${folder}, which the long path of the data folder makes necessary, belongs to another user or is open to others. Remove it, or give --data-dir a shorter path.`,
  );
}

/** The connection string for `pg` and every libpq client, for this or another database of the server. */
export function connectionUrl(socketDir: string, database: string = DATABASE_NAME): string {
  return `postgres://${DATABASE_USER}@/${database}?host=${encodeURIComponent(socketDir)}&port=${SOCKET_PORT}`;
}
