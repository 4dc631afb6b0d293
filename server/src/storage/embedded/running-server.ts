import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedError } from './embedded-error.ts';
import { connectOnce } from './first-connection.ts';
import { explainOutput, isStillShuttingDown } from './output-faults.ts';
import { inspectPostmaster, type PostmasterFile, type PostmasterState, serverProcessesIn } from './postmaster-pid.ts';
import { type BegunServer, type Place, refuseForeign } from './server-process.ts';

export interface RunningServer {
  readonly pid: number;
  readonly startedHere: boolean;
}

export interface EnsureOptions {
  readonly place: Place;
  readonly timeoutMs: number;
  readonly log: (step: string) => void;
  /** Begins a server; called when there is none. */
  readonly begin: (stalePid: number | null) => Promise<BegunServer>;
}

const POLL_MS = 5;
const REPORT_MS = 5_000;
// Children of a postmaster that was killed notice it at their next wait and end; then the memory they share is free.
// And a process may be a server that a killed launcher has just begun.
const PREDECESSOR_MS = 20_000;
// A server that calls itself ready answers at once; one that does not has lost its socket file.
const SILENT_MS = 15_000;

/**
 * Sees to it that a server of the folder serves, whatever state the last one left: none, running, starting (perhaps
 * recovering after a crash), stopping, killed. Call it under the folder's mutex.
 * @throws EmbeddedError foreign_server, start_failed, start_timeout, missing_library, disk_full
 */
export async function ensureRunning(options: EnsureOptions): Promise<RunningServer> {
  const { place } = options;
  const startedMs = Date.now();
  const report = createReporter(options.log);
  let begun: BegunServer | null = null;
  let lastFile: PostmasterFile | null = null;
  for (;;) {
    const waitedMs = Date.now() - startedMs;
    if (waitedMs > options.timeoutMs) throw timedOut(options, lastFile);
    const state = await inspectPostmaster(place.clusterDir, place.socketDir);
    refuseForeign(state, place.dataDir);
    if (state.kind === 'live') {
      lastFile = state.file;
      if (state.file.status === 'ready') {
        if (await connectOnce(place.socketDir, place.dataDir)) {
          return { pid: state.file.pid, startedHere: begun?.pid === state.file.pid };
        }
        if (waitedMs > SILENT_MS) throw silent(place, state.file);
      }
      report(state.file);
    } else if (begun === null) {
      const predecessors = waitedMs < PREDECESSOR_MS ? await serverProcessesIn(place.clusterDir) : [];
      if (predecessors.length === 0) begun = await beginAfter(state, options);
    } else if (begun.hasExited()) {
      const output = await begun.readOutput();
      if (!isStillShuttingDown(output) || waitedMs > PREDECESSOR_MS) {
        throw explainOutput('start', place.dataDir, output);
      }
      begun = null;
      await delay(100);
    }
    await delay(POLL_MS);
  }
}

/** PostgreSQL deals with the file of a dead predecessor itself, but gives up over a damaged one. */
async function beginAfter(state: PostmasterState, { place, begin }: EnsureOptions): Promise<BegunServer> {
  if (state.kind !== 'stale') return begin(null);
  if (state.pid === null) await rm(join(place.clusterDir, 'postmaster.pid'), { force: true });
  return begin(state.pidReused ? state.pid : null);
}

/** Says every few seconds what takes so long. */
function createReporter(log: (step: string) => void): (file: PostmasterFile) => void {
  let nextMs: number | null = null;
  return (file) => {
    // An ordinary start or stop is over before there is anything to say.
    nextMs ??= Date.now() + 1_000;
    if (Date.now() < nextMs) return;
    nextMs = Date.now() + REPORT_MS;
    if (file.status === 'stopping') log(`waiting for the last PostgreSQL (pid ${file.pid}) to stop`);
    else log(`PostgreSQL (pid ${file.pid}) is recovering after a crash; this may take minutes`);
  };
}

function timedOut(options: EnsureOptions, file: PostmasterFile | null): EmbeddedError {
  const doing = file?.status === 'stopping' ? 'stopping' : 'starting (after a crash it recovers first)';
  const who = file === null ? 'PostgreSQL' : `PostgreSQL (pid ${file.pid})`;
  return new EmbeddedError(
    'start_timeout',
    `${who} has been ${doing} for more than ${Math.round(options.timeoutMs / 1000)} s and goes on with it. Try again in a while; its log is in ${options.place.clusterDir}/log.`,
  );
}

function silent(place: Place, file: PostmasterFile): EmbeddedError {
  return new EmbeddedError(
    'start_failed',
    `PostgreSQL (pid ${file.pid}) runs on the data in ${place.dataDir}, but does not answer on its socket. Run \`milliard db stop --force\` and start again.`,
  );
}
