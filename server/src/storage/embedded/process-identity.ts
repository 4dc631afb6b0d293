import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { systemCode } from './embedded-error.ts';

/** A process told apart from a later one with the same pid by the moment it started. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process only. */
  readonly startToken: string;
}

// The process exists, but nothing says when it started: then the pid alone has to do.
const UNKNOWN = 'unknown';

/** Where start times come from: /proc on Linux, `ps` elsewhere (macOS). */
export type ProcessSource = 'proc' | 'ps';

const defaultSource = (): ProcessSource => (existsSync('/proc/self/stat') ? 'proc' : 'ps');

/**
 * The start token of a running process, or null when there is none with this pid. A zombie counts as none: it holds
 * no file and no socket any more, it only waits for a parent that may never look (node as pid 1 of a container).
 */
export async function findStartToken(pid: number, source: ProcessSource = defaultSource()): Promise<string | null> {
  if (!signalReaches(pid)) return null;
  return source === 'proc' ? tokenFromProc(pid) : tokenFromPs(pid);
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const token = await findStartToken(identity.pid);
  if (token === null) return false;
  return token === UNKNOWN || identity.startToken === UNKNOWN || token === identity.startToken;
}

export async function ownIdentity(): Promise<ProcessIdentity> {
  return { pid: process.pid, startToken: (await findStartToken(process.pid)) ?? UNKNOWN };
}

/** Reads state and start time out of /proc/PID/stat, whose second field may itself hold spaces and brackets. */
export function parseProcStat(text: string): { state: string; startTicks: string } | null {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  return state === undefined || startTicks === undefined || !/^\d+$/.test(startTicks) ? null : { state, startTicks };
}

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

async function tokenFromProc(pid: number): Promise<string | null> {
  let stat: ReturnType<typeof parseProcStat>;
  try {
    stat = parseProcStat(await readFile(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // Gone meanwhile, or hidden by the mount option hidepid.
    return signalReaches(pid) ? UNKNOWN : null;
  }
  if (stat === null) return UNKNOWN;
  if (stat.state === 'Z' || stat.state === 'X') return null;
  // Ticks count from the boot, and after a reboot the same service may well get the same pid at the same tick.
  return `${await bootId()}:${stat.startTicks}`;
}

async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return '';
  }
}

async function tokenFromPs(pid: number): Promise<string | null> {
  const line = await psLine(pid, 'stat=,lstart=');
  if (line === null) return signalReaches(pid) ? UNKNOWN : null;
  const [state = '', ...started] = line.split(/\s+/);
  return state.startsWith('Z') ? null : started.join(' ');
}

/** One line of `ps` about one process, trimmed; null when there is no such process or no `ps`. */
export async function psLine(pid: number, columns: string): Promise<string | null> {
  const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' };
  return new Promise((resolve) => {
    execFile('ps', ['-o', columns, '-p', String(pid)], { env }, (error, stdout) => {
      resolve(error === null && stdout.trim() !== '' ? stdout.trim() : null);
    });
  });
}
