import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverProcessesIn } from '../storage/embedded/postmaster-pid.ts';
import { freePort } from './free-port.ts';
import { serverUser, untilReady } from './postgres-15.ts';
import { watchServer } from './watchdog.ts';

/** One PostgreSQL with the extension loaded, on 127.0.0.1 and a port of its own that it keeps for life. */
export interface CitusNode {
  readonly role: 'coordinator' | 'worker';
  readonly host: string;
  readonly port: number;
  /** Connection string of a superuser to the cluster's database, or to `postgres` before it is there. */
  readonly url: string;
  /** kill -9 of all its processes: as if the machine lost power. */
  kill(): Promise<void>;
  /** Ends it at once but in order; `start` goes on with the same data. */
  stop(): Promise<void>;
  /** SIGSTOP of all its processes: connections stay open and nobody answers. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Starts it again after `kill` or `stop`; does nothing while it runs. */
  start(): Promise<void>;
  /** Ends it and removes its folder. */
  remove(): Promise<void>;
}

export interface CitusNodeOptions {
  /** The folder with PostgreSQL's programs. */
  readonly bin: string;
  readonly role: CitusNode['role'];
  readonly database: string;
  /** Server settings beside those that Citus needs. */
  readonly settings: Readonly<Record<string, string>>;
  /** A running server: the node begins as a streaming standby of it, and is known to it by `name`. Left out: an empty primary. */
  readonly standbyOf?: { readonly host: string; readonly port: number; readonly name: string };
}

const host = '127.0.0.1';
const superuser = 'milliard';

/** Makes and starts a node. It belongs to no cluster yet. @throws Error with the server's own words when it does not start */
export async function startCitusNode({ bin, role, database, ...given }: CitusNodeOptions): Promise<CitusNode> {
  const dir = mkdtempSync(join(tmpdir(), 'milliard-citus-'));
  const user = serverUser();
  if (user !== null) chownSync(dir, user.uid, user.gid);
  const options = { ...user, cwd: dir, env: { PATH: process.env['PATH'], HOME: dir, LC_ALL: 'C' } };
  const data = join(dir, 'data');
  const [program, programArgs] = given.standbyOf === undefined ? empty(data) : copied(data, given.standbyOf);
  execFileSync(join(bin, program), programArgs, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  const port = await freePort();
  const place = { port: String(port), listen_addresses: host, unix_socket_directories: dir };
  const flags = Object.entries({ ...citusSettings(bin), ...given.settings, ...place });
  const args = ['-D', data, ...flags.flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const clean = watchServer(dir, join(data, 'postmaster.pid'));
  const urlOf = (name: string): string => `postgresql://${superuser}@${host}:${port}/${name}`;
  const server = serverIn(data, {
    url: urlOf('postgres'),
    spawn: () =>
      spawn(join(bin, 'postgres'), args, { ...options, detached: true, stdio: ['ignore', 'ignore', 'pipe'] }),
  });
  const remove = async (): Promise<void> => {
    await server.stop();
    await clean();
  };
  try {
    await server.start();
    return { role, host, port, url: urlOf(database), ...server, remove };
  } catch (error) {
    await clean();
    throw error;
  }
}

const empty = (data: string): [program: string, args: string[]] => [
  'initdb',
  ['-D', data, '-U', superuser, '-A', 'trust', '--no-locale', '--encoding=UTF8', '--no-sync'],
];

/** All of the primary's data, and from whom to go on. */
const copied = (
  data: string,
  from: { host: string; port: number; name: string },
): [program: string, args: string[]] => [
  'pg_basebackup',
  [
    ...['--pgdata', data, '--write-recovery-conf', '--checkpoint=fast', '--no-sync'],
    ...['--dbname', `host=${from.host} port=${from.port} user=${superuser} application_name=${from.name}`],
  ],
];

interface Startable {
  readonly url: string;
  readonly spawn: () => ChildProcess;
}

/** The processes of a server in a data folder. */
function serverIn(
  data: string,
  { url, spawn: spawnServer }: Startable,
): Pick<CitusNode, 'start' | 'stop' | 'kill' | 'freeze' | 'thaw'> {
  let server: ChildProcess | null = null;
  let frozen: readonly number[] = [];
  const ended = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    server = null;
    frozen = [];
    // Its children notice a moment later that their postmaster is gone.
    while ((await serverProcessesIn(data)).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const thaw = async (): Promise<void> => {
    signal(frozen, 'SIGCONT');
    frozen = [];
  };
  return {
    async start() {
      if (server !== null) return;
      const child = spawnServer();
      server = child;
      let log = '';
      child.stderr?.on('data', (chunk) => {
        log = (log + chunk).slice(-4_000);
      });
      await untilReady(url).catch((cause: unknown) => {
        throw new Error(`PostgreSQL with Citus does not start: ${log}`, { cause });
      });
    },
    async kill() {
      if (server === null) return;
      const child: ChildProcess = server;
      await signalAll(data, 'SIGKILL');
      await ended(child);
    },
    async stop() {
      if (server === null) return;
      const child: ChildProcess = server;
      await thaw();
      child.kill('SIGINT');
      await ended(child);
    },
    async freeze() {
      frozen = await signalAll(data, 'SIGSTOP');
    },
    thaw,
  };
}

/** The postmaster first, so that it begins no more of them. @returns whom it reached */
async function signalAll(data: string, name: NodeJS.Signals): Promise<readonly number[]> {
  const postmaster = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  signal([postmaster], name);
  const others = (await serverProcessesIn(data)).filter((pid) => pid !== postmaster);
  signal(others, name);
  return [...others, postmaster];
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch (error) {
      // It ended by itself.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function citusSettings(bin: string): Record<string, string> {
  const known = execFileSync(join(bin, 'postgres'), ['--describe-config'], { encoding: 'utf8', maxBuffer: 2 ** 24 });
  return {
    shared_preload_libraries: 'citus',
    wal_level: 'logical',
    max_connections: '300',
    max_prepared_transactions: '200',
    max_worker_processes: '32',
    max_replication_slots: '20',
    max_wal_senders: '20',
    max_locks_per_transaction: '512',
    'citus.node_connection_timeout': '2s',
    // Servers of 15.20, 16.14, … refuse to decode by libraries that are not named here; older ones do not know the setting.
    ...(/^output_plugin_libraries\t/m.test(known) ? { output_plugin_libraries: 'pgoutput,test_decoding,citus' } : {}),
  };
}
