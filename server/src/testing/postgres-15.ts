import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestServer } from './test-server.ts';
import { watchServer } from './watchdog.ts';

const debianBin = '/usr/lib/postgresql/15/bin';

/** The folder with the programs of a PostgreSQL 15 on this machine: MILLIARD_TEST_PG15_BIN, Debian's, or pg_config's. */
export function findPostgres15(): string | null {
  const named = process.env['MILLIARD_TEST_PG15_BIN'];
  const candidates = named === undefined ? [debianBin, output('pg_config', ['--bindir'])] : [named];
  return candidates.find((bin) => bin !== null && isPostgres15(bin)) ?? null;
}

function isPostgres15(bin: string): boolean {
  return existsSync(join(bin, 'initdb')) && / 15[.\s]/.test(output(join(bin, 'postgres'), ['--version']) ?? '');
}

/**
 * Starts a throw-away PostgreSQL 15 that listens on a socket in its own folder only.
 * @param settings server settings, as name and value
 * @throws Error with the server's own words when it does not start
 */
export async function startPostgres15(bin: string, settings: Readonly<Record<string, string>>): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), 'milliard-pg15-'));
  const user = serverUser();
  if (user !== null) chownSync(dir, user.uid, user.gid);
  const options = { ...user, cwd: dir, env: { PATH: process.env['PATH'], HOME: dir, LC_ALL: 'C' } };
  const data = join(dir, 'data');
  const initdb = ['-D', data, '-U', 'milliard', '-A', 'trust', '--no-locale', '--encoding=UTF8', '--no-sync'];
  execFileSync(join(bin, 'initdb'), initdb, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  const flags = Object.entries({ ...settings, listen_addresses: '', unix_socket_directories: dir });
  const args = ['-D', data, ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const server = spawn(join(bin, 'postgres'), args, {
    ...options,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const stop = watchServer(dir, join(data, 'postmaster.pid'));
  let log = '';
  server.stderr.on('data', (chunk) => {
    log = (log + chunk).slice(-4_000);
  });
  const url = `postgresql://milliard@localhost/postgres?host=${encodeURIComponent(dir)}`;
  await untilReady(url).catch(async (cause: unknown) => {
    await stop();
    throw new Error(`PostgreSQL 15 does not start: ${log}`, { cause });
  });
  return { url, stop };
}

/** PostgreSQL refuses root: root starts it as the user of Debian's package, else as nobody. Null: as who we are. */
export function serverUser(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const name = output('id', ['-u', 'postgres']) === null ? 'nobody' : 'postgres';
  return { uid: Number(output('id', ['-u', name])), gid: Number(output('id', ['-g', name])) };
}

/** Waits until the server takes connections. @throws the last refusal, 30 s later */
export async function untilReady(url: string): Promise<void> {
  const deadlineMs = Date.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    try {
      await client.connect();
      return;
    } catch (error) {
      if (Date.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    } finally {
      await client.end().catch(() => {});
    }
  }
}

function output(command: string, args: readonly string[]): string | null {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}
