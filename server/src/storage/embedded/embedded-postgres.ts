import { stat } from 'node:fs/promises';
import { type Binaries, defaultSharedRoots, locateBinaries, prepareBinaries } from './binaries.ts';
import { addClient, type EmbeddedClient, listClients, removeClient, sweepDeadClients } from './client-locks.ts';
import { adoptCluster, type Cluster, checkMajor, findCluster, initCluster, writeDefaults } from './cluster.ts';
import { pruneLogs } from './cluster-log.ts';
import { EmbeddedError, explainFileError } from './embedded-error.ts';
import { withFolderMutex } from './folder-mutex.ts';
import { findPlace, preparePlace } from './place.ts';
import { inspectPostmaster } from './postmaster-pid.ts';
import { chooseRunAs, type RunAs } from './run-as.ts';
import { ensureRunning, type RunningServer } from './running-server.ts';
import { type BegunServer, beginServer, type Place, stopServer } from './server-process.ts';
import { defaultSettings, measureMachine, type Settings } from './server-settings.ts';
import { connectionUrl, removeSocketDir } from './socket-path.ts';

/** A PostgreSQL that serves the data folder, held by this process. */
export interface EmbeddedServer {
  /** For `new pg.Client({ connectionString })` and every libpq client. */
  readonly url: string;
  readonly socketDir: string;
  readonly dataDir: string;
  /** Whether this call started the server; false when it was running already. */
  readonly startedHere: boolean;
  /** Starts the server again if it has gone (crashed, killed, stopped with force). The url stays the same. */
  ensureRunning(): Promise<void>;
  /** Gives up this hold on the data folder; the last one out stops PostgreSQL (fast mode). Calling it again is harmless. */
  release(): Promise<void>;
}

export interface AcquireOptions {
  /** Made when it is missing; holds the cluster, its socket, the lock files and the logs. */
  readonly dataDir: string;
  /** Called with each step that takes noticeable time: "starting PostgreSQL 18.4". */
  readonly log?: (step: string) => void;
  /** More server settings; they count only when this call starts the server. */
  readonly settings?: Settings;
  /** What this process is, for those who find the folder held: "dev", "orders import". */
  readonly purpose?: string;
}

/** For tests and for unusual places; nobody else needs these. */
export interface LauncherOverrides {
  readonly forceSetuid?: boolean;
  /** The folder of the platform package. */
  readonly packageDir?: string;
  /** Where copies of the programs for another account go, best first. */
  readonly sharedRoots?: readonly string[];
  readonly startTimeoutMs?: number;
}

// A crash with 4 GB of log to replay can take minutes on a slow disk.
const START_TIMEOUT_MS = 300_000;
const STOP_TIMEOUT_MS = 120_000;

/**
 * Holds the embedded PostgreSQL of a data folder for this process, making and starting it as needed. Any number of
 * processes may hold it at once. Takes about 1.5 s the first time, 0.2 s to start and some 10 ms to join.
 * @throws EmbeddedError with a sentence for the person at the terminal; see EmbeddedErrorCode
 */
export async function acquireEmbedded(
  options: AcquireOptions,
  overrides: LauncherOverrides = {},
): Promise<EmbeddedServer> {
  try {
    const place = await preparePlace(options.dataDir);
    const launcher = { place, options, overrides, log: options.log ?? (() => undefined) };
    return await underMutex(launcher, () => acquire(launcher));
  } catch (error) {
    throw explainFileError(error, options.dataDir);
  }
}

interface Launcher {
  readonly place: Place;
  readonly options: AcquireOptions;
  readonly overrides: LauncherOverrides;
  readonly log: (step: string) => void;
}

function underMutex<T>({ place, overrides, log }: Launcher, work: () => Promise<T>): Promise<T> {
  const timeoutMs = (overrides.startTimeoutMs ?? START_TIMEOUT_MS) + STOP_TIMEOUT_MS;
  const onWait = (pid: number): void => log(`waiting for process ${pid}, which starts or stops PostgreSQL`);
  return withFolderMutex({ folder: place.locksDir, timeoutMs, onWait }, work);
}

async function acquire(launcher: Launcher): Promise<EmbeddedServer> {
  const { place } = launcher;
  await sweepDeadClients(place.locksDir);
  const hold = await addClient(place.locksDir, launcher.options.purpose ?? 'milliard');
  try {
    return createHandle(launcher, hold, await bringUp(launcher));
  } catch (error) {
    await removeClient(hold);
    // A server that takes long to recover shall go on with it: the next call finds it further.
    const goesOn =
      error instanceof EmbeddedError && (error.code === 'start_timeout' || error.code === 'foreign_server');
    if (!goesOn) await stopIfUnused(place).catch(() => undefined);
    throw error;
  }
}

function createHandle(launcher: Launcher, hold: string, first: RunningServer): EmbeddedServer {
  const { place } = launcher;
  let released: Promise<void> | null = null;
  return {
    url: connectionUrl(place.socketDir),
    socketDir: place.socketDir,
    dataDir: place.dataDir,
    startedHere: first.startedHere,
    async ensureRunning() {
      if (released !== null) throw new Error('ensureRunning after release: acquire the data folder again');
      await underMutex(launcher, () => bringUp(launcher)).catch((error: unknown) => {
        throw explainFileError(error, place.dataDir);
      });
    },
    release() {
      released ??= release(launcher, hold);
      return released;
    },
  };
}

async function release(launcher: Launcher, hold: string): Promise<void> {
  const { place } = launcher;
  // Before the mutex: that needs a little space on the disk, and this frees some when it is full.
  await removeClient(hold);
  // Somebody removed the folder. PostgreSQL notices by itself within a minute and ends.
  if (!(await isFolder(place.locksDir))) return;
  try {
    await underMutex(launcher, () => stopIfUnused(place));
  } catch (error) {
    throw explainFileError(error, place.dataDir);
  }
}

/** The last one out stops the server. */
async function stopIfUnused(place: Place): Promise<void> {
  await sweepDeadClients(place.locksDir);
  if ((await listClients(place.locksDir)).length > 0) return;
  await stopServer(place, STOP_TIMEOUT_MS);
  await pruneLogs(place.clusterDir);
  await removeSocketDir(place.clusterDir, place.socketDir);
}

async function bringUp(launcher: Launcher): Promise<RunningServer> {
  const { place, log } = launcher;
  const timeoutMs = launcher.overrides.startTimeoutMs ?? START_TIMEOUT_MS;
  return ensureRunning({ place, timeoutMs, log, begin: (stalePid) => begin(launcher, stalePid) });
}

async function begin(launcher: Launcher, stalePid: number | null): Promise<BegunServer> {
  const { place, overrides, log } = launcher;
  const settings = launcher.options.settings ?? {};
  const located = await locateBinaries(overrides.packageDir);
  const cluster = await findCluster(place.clusterDir);
  if (cluster !== null) checkMajor(cluster, place.dataDir, located);
  const { runAs, binaries } = await prepare(launcher, located, cluster);
  if (cluster === null) {
    log(`creating the database in ${place.dataDir}`);
    await initCluster({ clusterDir: place.clusterDir, binaries, runAs, throwAway: settings['fsync'] === 'off' });
  } else {
    await adoptCluster(place.clusterDir, cluster, runAs);
  }
  await writeDefaults(place.clusterDir, defaultSettings(await measureMachine()), runAs);
  await pruneLogs(place.clusterDir);
  log(`starting PostgreSQL ${binaries.version.replace(/^(\d+\.\d+).*/, '$1')}`);
  return beginServer({ place, nativeDir: binaries.nativeDir, runAs, settings, stalePid });
}

async function prepare(
  launcher: Launcher,
  located: Binaries,
  cluster: Cluster | null,
): Promise<{ runAs: RunAs; binaries: Binaries }> {
  const { place, overrides, log } = launcher;
  const runAs = await chooseRunAs({
    owner: cluster?.owner ?? null,
    dataDir: place.dataDir,
    nativeDir: located.nativeDir,
    forceSetuid: overrides.forceSetuid ?? false,
  });
  const binaries = await prepareBinaries(located, {
    forAnotherAccount: runAs.kind === 'setuid',
    sharedRoots: overrides.sharedRoots ?? defaultSharedRoots(),
    privateRoot: `${place.dataDir}/runtime`,
    log,
  });
  return { runAs, binaries };
}

export interface EmbeddedStatus {
  readonly state: 'absent' | 'stopped' | 'running';
  /** Of the server, while it runs. */
  readonly pid?: number;
  readonly clients: readonly EmbeddedClient[];
  /** PostgreSQL's major version that made the data: "18". */
  readonly version?: string;
  readonly url?: string;
}

/** Looks at a data folder without changing or waiting for anything. @throws EmbeddedError not_owner, not_a_cluster */
export async function embeddedStatus(dataDir: string): Promise<EmbeddedStatus> {
  const place = await findPlace(dataDir);
  const cluster = place === null ? null : await findCluster(place.clusterDir);
  if (place === null || cluster === null) return { state: 'absent', clients: [] };
  const clients = await listClients(place.locksDir);
  const state = await inspectPostmaster(place.clusterDir, place.socketDir);
  const known = { clients, version: cluster.major };
  if (state.kind === 'none' || state.kind === 'stale') return { state: 'stopped', ...known };
  if (state.kind === 'elsewhere') return { state: 'running', ...known };
  return { state: 'running', pid: state.file.pid, ...known, url: connectionUrl(place.socketDir) };
}

/**
 * Stops the server of a data folder, for `milliard db stop`. Returns its pid, or null when none ran.
 * @param options.force stop it although clients use it; they lose their connections, nothing committed is lost.
 * @throws EmbeddedError held_by_clients (names them), foreign_server, stop_timeout
 */
export async function stopEmbedded(
  dataDir: string,
  options: { readonly force?: boolean } = {},
): Promise<{ readonly stoppedPid: number | null }> {
  const place = await findPlace(dataDir);
  if (place === null || !(await isFolder(place.locksDir))) return { stoppedPid: null };
  const launcher: Launcher = { place, options: { dataDir }, overrides: {}, log: () => undefined };
  try {
    return await underMutex(launcher, async () => {
      await sweepDeadClients(place.locksDir);
      const clients = await listClients(place.locksDir);
      if (clients.length > 0 && options.force !== true) throw heldBy(place.dataDir, clients);
      return { stoppedPid: await stopServer(place, STOP_TIMEOUT_MS) };
    });
  } catch (error) {
    throw explainFileError(error, dataDir);
  }
}

function heldBy(dataDir: string, clients: readonly EmbeddedClient[]): EmbeddedError {
  const list = clients.map((client) => `${client.purpose} (pid ${client.pid})`).join(', ');
  return new EmbeddedError(
    'held_by_clients',
    `The embedded PostgreSQL of ${dataDir} is in use by ${list}. End these first, or add --force to disconnect them.`,
  );
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
}
