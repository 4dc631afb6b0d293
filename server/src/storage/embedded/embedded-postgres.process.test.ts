import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { locateBinaries } from './binaries.ts';
import {
  acquireEmbedded,
  type EmbeddedServer,
  embeddedStatus,
  type LauncherOverrides,
  stopEmbedded,
} from './embedded-postgres.ts';
import { findStartToken } from './process-identity.ts';
import { chooseRunAs, programCall } from './run-as.ts';
import { THROW_AWAY_SETTINGS } from './server-settings.ts';

const isRoot = process.getuid?.() === 0;
const CLIENT = fileURLToPath(new URL('./embedded-client.fixture.ts', import.meta.url));
const settings = THROW_AWAY_SETTINGS;

let folder = '';
let dataDir = '';
const children: ChildProcess[] = [];
const dataDirs = new Set<string>();

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'milliard-embedded-')));
  dataDir = join(folder, '.milliard');
  dataDirs.add(dataDir);
});

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  for (const dir of dataDirs) await stopEmbedded(dir, { force: true });
  dataDirs.clear();
  await rm(folder, { recursive: true, force: true });
});

const acquire = (overrides?: LauncherOverrides, log?: (step: string) => void): Promise<EmbeddedServer> =>
  acquireEmbedded({ dataDir, settings, purpose: 'test', ...(log === undefined ? {} : { log }) }, overrides);

/** Runs statements one after another; the values of the last one's rows. */
async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let values: unknown[] = [];
    for (const text of sql.split(';')) values = (await client.query({ text, rowMode: 'array' })).rows.flat();
    return values;
  } finally {
    await client.end();
  }
}

const serverPid = async (): Promise<number> => {
  const { pid } = await embeddedStatus(dataDir);
  if (pid === undefined) throw new Error('no server runs');
  return pid;
};

interface Client {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly lines: Interface;
  /** The next line that the client prints. */
  next(): Promise<{ event: string; startedHere?: boolean; error?: string }>;
}

function startClient(purpose: string): Client {
  const options = JSON.stringify({ dataDir, settings, purpose });
  // In a group of its own, as a shell does it, so that the whole group can be interrupted.
  const child = spawn(process.execPath, ['--import', 'tsx', CLIENT, options], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  children.push(child);
  if (child.stdout === null) throw new Error('no output');
  const lines = createInterface({ input: child.stdout });
  const iterator = lines[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await iterator.next()).value ?? '{"event":"ended"}');
  return { child, pid: child.pid ?? 0, lines, next };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

async function release(client: Client): Promise<void> {
  client.child.stdin?.write('\n');
  expect(await client.next()).toEqual({ event: 'released' });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 2));
}

test('the first start makes the database, the second finds it again', async () => {
  const steps: string[] = [];
  expect(await embeddedStatus(dataDir)).toEqual({ state: 'absent', clients: [] });
  const first = await acquire({}, (step) => steps.push(step));
  expect(first).toMatchObject({ startedHere: true, dataDir });
  expect(steps).toEqual([expect.stringContaining('creating'), expect.stringMatching(/^starting PostgreSQL \d+\.\d+$/)]);
  await query(first.url, 'create table kept (n int); insert into kept values (7)');
  expect(await embeddedStatus(dataDir)).toMatchObject({
    state: 'running',
    url: first.url,
    clients: [{ pid: process.pid, purpose: 'test', since: expect.any(Number) }],
  });
  await first.release();
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: 'stopped', clients: [], version: '18' });
  const second = await acquire();
  expect(second.url).toBe(first.url);
  expect(await query(second.url, 'select n from kept')).toEqual([7]);
  await second.release();
});

test('the server has the settings it needs and is reached by its socket alone', async () => {
  const server = await acquire();
  const values = await query(
    server.url,
    `select current_setting('listen_addresses'), current_setting('timezone'), current_setting('jit'),
            current_setting('max_locks_per_transaction'), current_setting('fsync'), current_setting('server_encoding')`,
  );
  expect(values).toEqual(['', 'UTC', 'off', '256', 'off', 'UTF8']);
  expect((await stat(server.socketDir)).mode & 0o777).toBe(0o700);
  await server.release();
});

test('a person can set what Milliard only suggests in postgresql.conf', async () => {
  await (await acquire()).release();
  const file = join(dataDir, 'postgres', 'postgresql.conf');
  await writeFile(file, `${await readFile(file, 'utf8')}\nwork_mem = '7MB'\n`);
  const server = await acquire();
  expect(await query(server.url, 'show work_mem')).toEqual(['7MB']);
  await server.release();
});

test('releasing twice, even at once, releases once', async () => {
  const [one, other] = [await acquire(), await acquire()];
  await Promise.all([one.release(), one.release()]);
  expect(await query(other.url, 'select 1')).toEqual([1]);
  await other.release();
  await one.release();
  expect((await embeddedStatus(dataDir)).state).toBe('stopped');
});

test('of two processes that start at the same time one starts the server, and the last one out stops it', async () => {
  const clients = [startClient('dev'), startClient('orders import')];
  const outcomes = await Promise.all(clients.map((client) => client.next()));
  expect(outcomes.map((outcome) => outcome.event)).toEqual(['acquired', 'acquired']);
  expect(outcomes.map((outcome) => outcome.startedHere).sort()).toEqual([false, true]);
  const purposes = (await embeddedStatus(dataDir)).clients.map((client) => client.purpose);
  expect(purposes.sort()).toEqual(['dev', 'orders import']);
  // The one that started it leaves first.
  const starter = outcomes[0]?.startedHere === true ? 0 : 1;
  const [first, last] = [clients[starter], clients[1 - starter]];
  if (first === undefined || last === undefined) throw new Error('two clients');
  await release(first);
  expect((await embeddedStatus(dataDir)).clients).toMatchObject([{ pid: last.pid }]);
  expect((await embeddedStatus(dataDir)).state).toBe('running');
  await release(last);
  expect((await embeddedStatus(dataDir)).state).toBe('stopped');
});

test('kill -9 of the only client leaves the server for the next one to take over', async () => {
  const client = startClient('dev');
  expect(await client.next()).toMatchObject({ event: 'acquired', startedHere: true });
  const pid = await serverPid();
  await kill(client.child);
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: 'running', pid, clients: [] });
  const server = await acquire();
  expect(server.startedHere).toBe(false);
  expect(await serverPid()).toBe(pid);
  await server.release();
  expect(await findStartToken(pid)).toBeNull();
});

test('a killed client does not keep the server from stopping', async () => {
  const client = startClient('dev');
  await client.next();
  const server = await acquire();
  await kill(client.child);
  await server.release();
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: 'stopped', clients: [] });
});

test('Ctrl-C in the terminal of a client does not reach the server', async () => {
  const client = startClient('dev');
  await client.next();
  const exit = once(client.child, 'exit');
  process.kill(-client.pid, 'SIGINT');
  await exit;
  const server = await acquire();
  expect(server.startedHere).toBe(false);
  await server.release();
});

test('after kill -9 of the server a client starts it again, with what was committed', async () => {
  const server = await acquireEmbedded({ dataDir, purpose: 'test' });
  await query(server.url, 'create table kept (n int); insert into kept values (1)');
  process.kill(await serverPid(), 'SIGKILL');
  await server.ensureRunning();
  expect(await query(server.url, 'select n from kept')).toEqual([1]);
  await server.ensureRunning();
  await server.release();
  await expect(server.ensureRunning()).rejects.toThrow(/after release/);
});

test('a stale postmaster.pid whose pid another program has now is seen through', async () => {
  await (await acquire()).release();
  const other = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], { stdio: 'ignore' });
  children.push(other);
  await once(other, 'spawn');
  const stale = `${other.pid}\n${join(dataDir, 'postgres')}\n1700000000\n5432\n.\n\n  1  2\nready   \n`;
  await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), stale, { mode: 0o600 });
  expect((await embeddedStatus(dataDir)).state).toBe('stopped');
  const server = await acquire();
  expect(server.startedHere).toBe(true);
  await server.release();
  expect(other.exitCode).toBeNull();
});

test.each(['', 'nonsense\n', '\0\0\0'])('a damaged postmaster.pid (%j) is seen through', async (text) => {
  await (await acquire()).release();
  await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), text, { mode: 0o600 });
  const server = await acquire();
  expect(server.startedHere).toBe(true);
  await server.release();
});

test('a copy of a data folder in use gets a server of its own', async () => {
  const original = await acquireEmbedded({ dataDir });
  await query(original.url, 'create table kept (n int); checkpoint');
  const copy = join(folder, 'copy');
  dataDirs.add(copy);
  // Sockets cannot be copied, nor does a copy need the locks.
  const filter = (path: string): boolean => !/locks|\.s\.PGSQL/.test(path.slice(dataDir.length));
  await cp(dataDir, copy, { recursive: true, filter });
  await chmod(join(copy, 'postgres'), 0o700);
  const other = await acquireEmbedded({ dataDir: copy, settings });
  expect(other.startedHere).toBe(true);
  expect((await embeddedStatus(copy)).pid).not.toBe(await serverPid());
  await other.release();
  expect(await query(original.url, 'select count(*)::int from kept')).toEqual([0]);
  await original.release();
});

test('data of another major version are refused with a sentence that names both', async () => {
  await (await acquire()).release();
  await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '17\n');
  await expect(acquire()).rejects.toMatchObject({
    code: 'wrong_major',
    message: expect.stringMatching(/PostgreSQL 17.*PostgreSQL 18.*DATABASE_URL/s),
  });
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: 'stopped', version: '17', clients: [] });
});

test('a server that somebody else started on the data is refused and left alone', async () => {
  await (await acquire()).release();
  const clusterDir = join(dataDir, 'postgres');
  const { nativeDir } = await locateBinaries();
  const { uid, gid } = await stat(clusterDir);
  const runAs = await chooseRunAs({ owner: { uid, gid }, dataDir, nativeDir });
  const args = ['-c', 'listen_addresses=', '-c', 'unix_socket_directories=.', '-p', '5499'];
  const call = programCall(runAs, { nativeDir, name: 'postgres', folder: clusterDir }, args);
  const foreign = spawn(call.file, call.args, { ...call.options, stdio: 'ignore' });
  await until(async () =>
    (await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => '')).includes('ready'),
  );
  await expect(acquire()).rejects.toMatchObject({ code: 'foreign_server', message: expect.stringContaining('5499') });
  await expect(stopEmbedded(dataDir, { force: true })).rejects.toMatchObject({ code: 'foreign_server' });
  expect(foreign.exitCode).toBeNull();
  await kill(foreign, 'SIGINT');
});

test('a path too long for a socket works through a short one', async () => {
  dataDir = join(folder, 'x'.repeat(60), 'y'.repeat(60), "with space, ü and '");
  dataDirs.add(dataDir);
  const server = await acquire();
  expect(server.socketDir.length).toBeLessThan(100);
  expect(await query(server.url, 'select 1')).toEqual([1]);
  await server.release();
  await expect(stat(server.socketDir)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a kill in the middle of initdb leaves nothing that the next start minds', async () => {
  const client = startClient('dev');
  await until(async () => (await readdir(dataDir).catch(() => [])).some((name) => name.includes('.init-')));
  await kill(client.child);
  expect((await embeddedStatus(dataDir)).state).toBe('absent');
  const server = await acquire();
  expect(server.startedHere).toBe(true);
  await server.release();
  await (await acquire()).release();
  expect((await readdir(dataDir)).sort()).toEqual(['locks', 'postgres', 'postgres-start.log']);
});

const kills = process.env['MILLIARD_TEST_FAULTS'] === 'full' ? 100 : 6;
test(`clients killed at ${kills} random moments of starting and stopping never spoil the folder`, async () => {
  const found = { absent: 0, stopped: 0, running: 0 };
  for (let round = 0; round < kills; round++) {
    const client = startClient('dev');
    const locks = async (): Promise<string[]> => readdir(join(dataDir, 'locks')).catch(() => []);
    await until(async () => (await locks()).some((name) => name.startsWith(`client-${client.pid}-`)));
    if (round % 2 === 0) {
      await client.next();
      client.child.stdin?.write('\n');
    }
    await new Promise((done) => setTimeout(done, Math.random() * (round === 1 ? 800 : 150)));
    await kill(client.child);
    found[(await embeddedStatus(dataDir)).state]++;
    const server = await acquire();
    expect(await query(server.url, 'select 1')).toEqual([1]);
    await server.release();
    expect(await embeddedStatus(dataDir)).toMatchObject({ state: 'stopped', clients: [] });
  }
  console.log(
    `${kills} clients killed, PostgreSQL after the kill: ${JSON.stringify(found)}; each time the next start served`,
  );
});

test('stopping names the clients that still use it, and disconnects them only when forced', async () => {
  expect(await stopEmbedded(dataDir)).toEqual({ stoppedPid: null });
  const client = startClient('orders import');
  await client.next();
  await expect(stopEmbedded(dataDir)).rejects.toMatchObject({
    code: 'held_by_clients',
    message: expect.stringContaining(`orders import (pid ${client.pid})`),
  });
  const pid = await serverPid();
  expect(await stopEmbedded(dataDir, { force: true })).toEqual({ stoppedPid: pid });
  expect((await embeddedStatus(dataDir)).state).toBe('stopped');
  await release(client);
});

test('a failed start says why, with the words of the server, and leaves no hold', async () => {
  const failing = acquireEmbedded({ dataDir, settings: { ...settings, shared_buffers: 'lots' } });
  await expect(failing).rejects.toMatchObject({
    code: 'start_failed',
    message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
  });
  expect(await embeddedStatus(dataDir)).toMatchObject({ state: 'stopped', clients: [] });
});

test('a data folder that is a file, and one with something else in it, are refused', async () => {
  await writeFile(join(folder, 'file'), '');
  await expect(acquireEmbedded({ dataDir: join(folder, 'file') })).rejects.toMatchObject({ code: 'not_writable' });
  await mkdir(join(dataDir, 'postgres'), { recursive: true });
  await writeFile(join(dataDir, 'postgres', 'letter.txt'), '');
  await expect(acquire()).rejects.toMatchObject({ code: 'not_a_cluster' });
});

/** A copy of the platform package without its library links, in a folder that only this user can enter. */
async function copyPackage(): Promise<string> {
  const packageDir = join(folder, 'package');
  const filter = (path: string): boolean => !path.endsWith('.a');
  await cp(dirname((await locateBinaries()).nativeDir), packageDir, { recursive: true, filter });
  for (const { target } of JSON.parse(await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8'))) {
    await rm(join(packageDir, target), { force: true });
  }
  await chmod(packageDir, 0o700);
  return packageDir;
}

test.runIf(process.platform === 'linux')('a missing library is named, with what to do', async () => {
  const packageDir = await copyPackage();
  // An ICU of ten years ago, which no system has by itself any more.
  await rm(join(packageDir, 'native', 'lib', 'libicui18n.so.60.2'));
  await expect(acquire({ packageDir })).rejects.toMatchObject({
    code: 'missing_library',
    message: expect.stringMatching(/libicui18n\.so\.60 .*npm install/s),
  });
  expect((await readdir(dataDir)).sort()).toEqual(['locks']);
});

test.runIf(isRoot)(
  'root without user namespaces runs the server as another account, from a closed folder',
  async () => {
    const packageDir = await copyPackage();
    // The copy's place must be open to that account; the data and the package are not.
    const shared = await mkdtemp(join(tmpdir(), 'milliard-runtime-'));
    try {
      await chmod(shared, 0o755);
      const overrides = { forceSetuid: true, packageDir, sharedRoots: [join(shared, 'roots')] };
      const steps: string[] = [];
      const server = await acquire(overrides, (step) => steps.push(step));
      expect(steps[0]).toContain('copying');
      await query(server.url, 'create table kept (n int)');
      const { uid } = await stat(join(dataDir, 'postgres'));
      expect(uid).not.toBe(0);
      expect(await query(server.url, `select (pg_stat_file('PG_VERSION')).size::int`)).toEqual([3]);
      expect(await owner(await serverPid())).toBe(uid);
      await server.release();
      // From now on the data stay that account's, also where user namespaces work.
      const again = await acquire({ packageDir, sharedRoots: overrides.sharedRoots });
      expect(await owner(await serverPid())).toBe(uid);
      expect(await query(again.url, 'select count(*)::int from kept')).toEqual([0]);
      await again.release();
    } finally {
      await rm(shared, { recursive: true, force: true });
    }
  },
);

test.runIf(isRoot)('a cluster that root began in a user namespace goes on without one', async () => {
  const first = await acquire();
  await query(first.url, 'create table kept (n int)');
  await first.release();
  const second = await acquire({ forceSetuid: true });
  expect(await query(second.url, 'select count(*)::int from kept')).toEqual([0]);
  expect(await owner(await serverPid())).not.toBe(0);
  await second.release();
});

async function owner(pid: number): Promise<number> {
  return (await stat(`/proc/${pid}`)).uid;
}

const canMount = isRoot && process.platform === 'linux' && mountWorks();

function mountWorks(): boolean {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const run = (file: string, ...args: string[]): Promise<void> =>
  new Promise((done, fail) => execFile(file, args, (error) => (error === null ? done() : fail(error))));

/** Does the work with a data folder on a disk of its own. */
async function onDiskOf(sizeMb: number, work: () => Promise<void>): Promise<void> {
  await mkdir(dataDir);
  await run('mount', '-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'none', dataDir);
  try {
    await work();
  } finally {
    await stopEmbedded(dataDir, { force: true }).catch(() => undefined);
    await run('umount', dataDir);
  }
}

const full = { code: 'disk_full', message: expect.stringContaining('--data-dir') };

test.runIf(canMount)('a disk too small for the first start is told so', async () => {
  await onDiskOf(30, async () => {
    await expect(acquireEmbedded({ dataDir })).rejects.toMatchObject(full);
  });
});

test.runIf(canMount)('a disk that ran full is told at the next start, and room on it is all it takes', async () => {
  await onDiskOf(80, async () => {
    await (await acquireEmbedded({ dataDir })).release();
    const filler = join(dataDir, 'filler');
    await run('dd', 'if=/dev/zero', `of=${filler}`, 'bs=4k').catch(() => undefined);
    await expect(acquireEmbedded({ dataDir })).rejects.toMatchObject(full);
    await rm(filler);
    await (await acquireEmbedded({ dataDir })).release();
  });
});
