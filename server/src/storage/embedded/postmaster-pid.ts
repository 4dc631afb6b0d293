import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { systemCode } from './embedded-error.ts';
import { findStartToken, psLine } from './process-identity.ts';

export const SOCKET_PORT = 5432;
/** The server's working folder is the cluster, so "." puts its socket there, whatever the length of the path. */
export const SOCKET_FOLDER_SETTING = '.';
export const SOCKET_FILE = `.s.PGSQL.${SOCKET_PORT}`;

/** What PostgreSQL writes into postmaster.pid; the later lines come while it starts. */
export interface PostmasterFile {
  readonly pid: number;
  readonly dataDir: string;
  readonly startedAtS: number | null;
  readonly port: number | null;
  readonly socketDir: string;
  readonly status: 'starting' | 'stopping' | 'ready' | 'standby' | '';
}

/** Parses postmaster.pid; null when its first line is no pid (empty or damaged). */
export function parsePostmasterPid(text: string): PostmasterFile | null {
  const lines = text.split('\n').map((line) => line.trimEnd());
  // A standalone backend (single-user mode) writes its pid negated.
  const pid = Math.abs(Number(lines[0]));
  if (!Number.isSafeInteger(pid) || pid === 0 || !/^-?\d+$/.test(lines[0] ?? '')) return null;
  const status = lines[7] ?? '';
  return {
    pid,
    dataDir: lines[1] ?? '',
    startedAtS: numberOrNull(lines[2]),
    port: numberOrNull(lines[3]),
    socketDir: lines[4] ?? '',
    status: status === 'starting' || status === 'stopping' || status === 'ready' || status === 'standby' ? status : '',
  };
}

function numberOrNull(line: string | undefined): number | null {
  return line !== undefined && /^\d+$/.test(line) ? Number(line) : null;
}

export type PostmasterState =
  | { readonly kind: 'none' }
  /** The file is there, its server is not: dead, or the pid belongs to some other program now. */
  | { readonly kind: 'stale'; readonly pid: number | null; readonly pidReused: boolean }
  | { readonly kind: 'live'; readonly file: PostmasterFile }
  /** A server of this folder that this launcher did not start: other port or socket, or started by hand. */
  | { readonly kind: 'foreign'; readonly file: PostmasterFile }
  /** Something answers on the socket, but its pid is not among our processes: another container, same folder. */
  | { readonly kind: 'elsewhere' };

/** Looks at the server of a cluster. `socketDir` is a path to the cluster short enough for a socket. Reads only. */
export async function inspectPostmaster(clusterDir: string, socketDir: string): Promise<PostmasterState> {
  const text = await readOrNull(join(clusterDir, 'postmaster.pid'));
  if (text === null) return { kind: 'none' };
  const file = parsePostmasterPid(text);
  const running = file !== null && (await findStartToken(file.pid)) !== null;
  if (file !== null && running && (await isPostmasterOf(file, clusterDir))) {
    return isOurs(file) ? { kind: 'live', file } : { kind: 'foreign', file };
  }
  if (await socketAnswers(join(socketDir, SOCKET_FILE))) return { kind: 'elsewhere' };
  return { kind: 'stale', pid: file?.pid ?? null, pidReused: running };
}

/**
 * Pids of all server processes at work in a cluster, the postmaster's children included: some outlive it for a moment.
 * Empty where there is no /proc.
 */
export async function serverProcessesIn(clusterDir: string): Promise<number[]> {
  const pids: number[] = [];
  const real = await realpath(clusterDir).catch(() => null);
  // Before the first start. Else every process of another user, whose folder we may not read, would seem to be in it.
  if (real === null) return [];
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name) || (await readOrNull(`/proc/${name}/comm`).catch(() => null))?.trim() !== 'postgres')
      continue;
    if ((await readlink(`/proc/${name}/cwd`).catch(() => null)) === real) pids.push(Number(name));
  }
  return pids;
}

function isOurs(file: PostmasterFile): boolean {
  const early = file.socketDir === '' && file.status !== 'ready';
  return file.port === SOCKET_PORT && (early || file.socketDir === SOCKET_FOLDER_SETTING);
}

async function isPostmasterOf(file: PostmasterFile, clusterDir: string): Promise<boolean> {
  const real = await realpath(clusterDir);
  const name = (await readOrNull(`/proc/${file.pid}/comm`))?.trim();
  if (name !== undefined) {
    if (name !== 'postgres') return false;
    // PostgreSQL works in its data folder; this holds after the folder was moved, too. A copied folder does not match.
    const folder = await readlink(`/proc/${file.pid}/cwd`).catch(() => null);
    if (folder !== null) return folder === real;
  }
  const command = name ?? (await psLine(file.pid, 'comm='));
  return command !== null && basename(command).startsWith('postgres') && file.dataDir === real;
}

async function socketAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function readOrNull(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return null;
    throw error;
  }
}
