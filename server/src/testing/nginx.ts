import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chownSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { watchServer } from './watchdog.ts';

const shipped = (file: string): string => fileURLToPath(new URL(`../../../deploy/${file}`, import.meta.url));

/** nginx of this machine: MILLIARD_TEST_NGINX, else Debian's. */
export function findNginx(): string | null {
  const program = process.env['MILLIARD_TEST_NGINX'] ?? '/usr/sbin/nginx';
  try {
    accessSync(program, constants.X_OK);
    return program;
  } catch {
    return null;
  }
}

export interface Nginx {
  readonly url: string;
  /** A line for each request: the servers it was sent to in turn and what each answered. */
  log(): readonly LoggedRequest[];
  /** What it complained of. */
  errors(): string;
  stop(): Promise<void>;
}

export interface LoggedRequest {
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  readonly servers: readonly string[];
  readonly statuses: readonly string[];
}

/**
 * Runs deploy/nginx.conf (two servers) or deploy/nginx.citus.conf (three) as it is shipped, but for addresses and folders.
 * @throws Error when the file does not hold what is to be replaced, or with nginx's own words when it does not start
 */
export async function startNginx(program: string, serverPorts: readonly number[]): Promise<Nginx> {
  const dir = mkdtempSync(join(tmpdir(), 'milliard-nginx-'));
  const port = await freePort();
  const user = plainUser();
  const options = { ...user, cwd: dir, env: { PATH: process.env['PATH'] } };
  const args = ['-p', dir, '-e', 'stderr', '-c', join(dir, 'nginx.conf')];
  try {
    writeFileSync(join(dir, 'nginx.conf'), configFor({ dir, port, serverPorts }));
    writeFileSync(join(dir, 'access.log'), '');
    if (user !== null) for (const path of [dir, join(dir, 'access.log')]) chownSync(path, user.uid, user.gid);
    execFileSync(program, [...args, '-t', '-q'], { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  const child = spawn(program, [...args, '-g', 'daemon off;'], {
    ...options,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-200_000);
  });
  const ended = once(child, 'exit');
  const pidFile = join(dir, 'nginx.pid');
  while (pidIn(pidFile) === '') {
    if (child.exitCode !== null) throw new Error(`nginx does not start: ${errors}`);
    await delay(10);
  }
  const stop = watchServer(dir, pidFile);
  return {
    url: `http://127.0.0.1:${port}`,
    log: () => readFileSync(join(dir, 'access.log'), 'utf8').split('\n').filter(Boolean).map(parseLine),
    errors: () => errors,
    async stop() {
      await stop();
      await ended;
    },
  };
}

interface Place {
  readonly dir: string;
  readonly port: number;
  readonly serverPorts: readonly number[];
}

function configFor({ dir, port, serverPorts }: Place): string {
  const file = serverPorts.length === 3 ? 'nginx.citus.conf' : 'nginx.conf';
  let text = readFileSync(shipped(file), 'utf8');
  const replace = (from: string, to: string, times: number): void => {
    const parts = text.split(from);
    if (parts.length !== times + 1)
      throw new Error(`deploy/${file} has "${from}" ${parts.length - 1} times, not ${times}: mend the test with it.`);
    text = parts.join(to);
  };
  replace(' /tmp/', ` ${dir}/`, 6);
  for (const [index, serverPort] of serverPorts.entries())
    replace(` server-${index + 1}:8000 `, ` 127.0.0.1:${serverPort} `, 3);
  replace('listen 8080;', `listen 127.0.0.1:${port};`, 1);
  replace(' /dev/stdout ', ` ${join(dir, 'access.log')} `, 1);
  return text;
}

// Its folder is readable for its owner only, and the workers of root's nginx are nobody.
function plainUser(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function pidIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function parseLine(line: string): LoggedRequest {
  const { method, uri, status, servers, statuses } = JSON.parse(line) as Record<string, string> & { status: number };
  const listOf = (text = ''): string[] => text.split(/, | : /).filter(Boolean);
  return { method: method ?? '', uri: uri ?? '', status, servers: listOf(servers), statuses: listOf(statuses) };
}
