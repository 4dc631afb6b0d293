import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { logSince } from './cluster-log.ts';
import { EmbeddedError, systemCode } from './embedded-error.ts';
import { explainSpawnError } from './output-faults.ts';
import { inspectPostmaster, type PostmasterState, serverProcessesIn } from './postmaster-pid.ts';
import { findStartToken, isAlive } from './process-identity.ts';
import { programCall, type RunAs } from './run-as.ts';
import { FIXED_SETTINGS, type Settings, settingsArgs } from './server-settings.ts';

/** The folders of one embedded server. */
export interface Place {
  readonly dataDir: string;
  readonly clusterDir: string;
  readonly locksDir: string;
  /** What the server printed before its own log began. */
  readonly startLog: string;
  /** A path to the cluster that is short enough for a socket. */
  readonly socketDir: string;
}

/** A server process that was just begun; it need not have come far. */
export interface BegunServer {
  readonly pid: number;
  /** Whether it has ended already. */
  hasExited(): boolean;
  /** What it printed and logged since it began. */
  readOutput(): Promise<string>;
}

/**
 * Begins the server in a session of its own: neither Ctrl-C in the terminal nor the end of this process reaches it.
 * @param stalePid what the old postmaster.pid names although some other program has this pid by now.
 */
export async function beginServer(options: {
  readonly place: Place;
  readonly nativeDir: string;
  readonly runAs: RunAs;
  readonly settings: Settings;
  readonly stalePid: number | null;
}): Promise<BegunServer> {
  const { place, runAs, stalePid } = options;
  const program = { nativeDir: options.nativeDir, name: 'postgres', folder: place.clusterDir } as const;
  const call = programCall(runAs, program, settingsArgs({ ...options.settings, ...FIXED_SETTINGS }));
  // PostgreSQL takes a living process with the old pid for its predecessor, except its own parents. Naming the pid as
  // one keeps the file, and with it PostgreSQL's check for children of the predecessor that still use the shared memory.
  const reused = stalePid === null ? {} : { PG_GRANDPARENT_PID: String(stalePid) };
  const output = await open(place.startLog, 'w', 0o600);
  const sinceMs = Date.now();
  try {
    const child = spawn(call.file, call.args, {
      ...call.options,
      env: { ...call.options.env, ...reused },
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    await new Promise<void>((done, fail) => {
      child.once('spawn', done);
      child.once('error', (error) => fail(explainSpawnError(call.file, error)));
    });
    child.unref();
    return {
      pid: child.pid ?? 0,
      hasExited: () => child.exitCode !== null || child.signalCode !== null,
      readOutput: async () => `${await readFile(place.startLog, 'utf8')}\n${await logSince(place.clusterDir, sinceMs)}`,
    };
  } finally {
    await output.close();
  }
}

/** @throws EmbeddedError foreign_server for the two states in which somebody else serves from the folder. */
export function refuseForeign(state: PostmasterState, dataDir: string): void {
  if (state.kind === 'foreign') {
    throw new EmbeddedError(
      'foreign_server',
      `A PostgreSQL server that Milliard did not start (pid ${state.file.pid}, port ${state.file.port ?? 'unknown'}) runs on the data in ${dataDir}. Stop it, or set DATABASE_URL to use it.`,
    );
  }
  if (state.kind === 'elsewhere') {
    throw new EmbeddedError(
      'foreign_server',
      `A PostgreSQL server in another container or machine runs on the data in ${dataDir}. Stop it there, or give this one a --data-dir of its own.`,
    );
  }
}

const POLL_MS = 5;
const LAST_CHILDREN_MS = 5_000;

/**
 * Stops the server fast (clients are disconnected, everything committed is kept) and waits until it is gone.
 * Returns its pid, or null when none ran.
 * @throws EmbeddedError foreign_server, not_owner, stop_timeout
 */
export async function stopServer(place: Place, timeoutMs: number): Promise<number | null> {
  const state = await inspectPostmaster(place.clusterDir, place.socketDir);
  refuseForeign(state, place.dataDir);
  const pid = state.kind === 'live' ? state.file.pid : null;
  if (pid !== null) await interruptAndWait(place, pid, timeoutMs);
  await waitForLastChildren(place.clusterDir);
  return pid;
}

async function interruptAndWait(place: Place, pid: number, timeoutMs: number): Promise<void> {
  const startToken = await findStartToken(pid);
  if (startToken === null) return;
  interrupt(pid, place.dataDir);
  const deadline = Date.now() + timeoutMs;
  while (await isAlive({ pid, startToken })) {
    if (Date.now() > deadline) {
      throw new EmbeddedError(
        'stop_timeout',
        `The embedded PostgreSQL (pid ${pid}) has been stopping for more than ${Math.round(timeoutMs / 1000)} s; it may be writing a large cache to a slow disk. Wait until it is gone; its log is in ${place.clusterDir}/log.`,
      );
    }
    await delay(POLL_MS);
  }
}

/** The log's writer ends after the postmaster; whoever removes or unmounts the folder now would meet it. */
async function waitForLastChildren(clusterDir: string): Promise<void> {
  const deadline = Date.now() + LAST_CHILDREN_MS;
  while (Date.now() < deadline && (await serverProcessesIn(clusterDir)).length > 0) await delay(POLL_MS);
}

/** SIGINT is PostgreSQL's fast shutdown. */
function interrupt(pid: number, dataDir: string): void {
  try {
    process.kill(pid, 'SIGINT');
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return;
    throw new EmbeddedError(
      'not_owner',
      `The embedded PostgreSQL of ${dataDir} (pid ${pid}) runs as another user and cannot be stopped by this one. Run this command as that user.`,
      { cause: error },
    );
  }
}
