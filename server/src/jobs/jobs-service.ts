import { hostname } from 'node:os';
import { validate as isUuid } from 'uuid';
import { type Logger, silentLogger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobKind, JobOwner, RunId } from './job.ts';
import { createAudit } from './job-audit.ts';
import { claim } from './job-claim.ts';
import { createCommands } from './job-commands.ts';
import { heldElsewhere, kindUnknown, runNotFound } from './job-errors.ts';
import { standardPausesMs } from './job-patience.ts';
import { rehearseKind } from './job-rehearsal.ts';
import { countUnfinished, listRuns, selectRowErrors, selectRun } from './job-run-queries.ts';
import { type RunRow, runOf } from './job-run-row.ts';
import { runClaimed, tellProgress } from './job-runner.ts';
import { type Bell, serveRuns } from './job-server.ts';
import { watchRun } from './job-watch.ts';
import type { Jobs } from './jobs.ts';

export interface JobsDeps {
  /** The database that holds the runs and the rows they are about; a foreign one needs `ensureJobTables` first. */
  readonly db: Database;
  readonly kinds: readonly JobKind[];
  readonly logger?: Logger;
  readonly host?: string;
  readonly pid?: number;
  /** Ranges of one run worked at at once, each on a connection of its own. Default 2. */
  readonly parallelRanges?: number;
  /** For tests. */
  readonly timing?: Partial<JobTiming>;
}

export interface JobTiming {
  readonly heartbeatMs: number;
  /** How often a server looks for runs. */
  readonly pollMs: number;
  /** An owner that holds its lock and has been silent for so long hangs. */
  readonly silentMs: number;
  /** Before each further try after a fault that may pass. */
  readonly retryPausesMs: readonly number[];
  /** A run that was just started or resumed is left by the servers to who did it. */
  readonly reservedMs: number;
}

const standardTiming: JobTiming = {
  heartbeatMs: 1_000,
  pollMs: 1_000,
  silentMs: 30_000,
  retryPausesMs: standardPausesMs,
  reservedMs: 2_000,
};

/** Makes the engine of one database. It opens nothing and runs nothing by itself. */
export function createJobs(deps: JobsDeps): Jobs {
  const { db, kinds, logger = silentLogger, parallelRanges = 2 } = deps;
  const me: JobOwner = { host: deps.host ?? hostname(), pid: deps.pid ?? process.pid };
  const timing = { ...standardTiming, ...deps.timing };
  const audit = createAudit(db);
  const byName = new Map(kinds.map((kind) => [kind.name, kind]));
  const bell = createBell();

  const kindOf = (name: string): JobKind => {
    const kind = byName.get(name);
    if (kind === undefined) throw kindUnknown(name, [...byName.keys()]);
    return kind;
  };
  const rowOf = async (runId: string): Promise<RunRow> => {
    const [row] = isUuid(runId) ? await db.query(selectRun(runId.toLowerCase() as RunId)) : [];
    if (row === undefined) throw runNotFound(runId);
    return row;
  };
  const get = async (runId: RunId) => runOf(await rowOf(runId));

  const runHere: Jobs['runHere'] = async (runId, options) => {
    const row = await rowOf(runId);
    const kind = kindOf(row.kind);
    const claimed = await claim({ db, logger, audit, me, silentMs: timing.silentMs }, row.runId, kind);
    const runner = { db, logger, audit, me, parallelRanges, ...timing };
    const outcome = await runClaimed(runner, { claim: claimed, kind }, options);
    const run = await get(row.runId);
    if (outcome === 'lost') throw heldElsewhere(run.runId, run.owner);
    tellProgress(options, logger, run);
    return run;
  };

  return {
    ...createCommands({ db, audit, kindOf, rowOf, runHere, host: me.host, reservedMs: timing.reservedMs, bell }),
    kinds: () => kinds.map(({ name, title, runsOn }) => ({ name, title, runsOn })),
    get,
    runHere,
    rehearse: (kind, parameters, options) => rehearseKind(db, kindOf(kind), { ...options, parameters }),
    async list(filter) {
      if (filter.after !== null && !isUuid(filter.after)) throw runNotFound(filter.after);
      return (await db.query(listRuns(filter))).map(runOf);
    },
    async unfinished() {
      const found = await db.query(countUnfinished());
      return found.map(({ runs, ...rest }) => ({ ...rest, runs: Number(runs) }));
    },
    async errors(runId, page) {
      const row = await rowOf(runId);
      const found = await db.query(selectRowErrors(row.runId, page.after, page.limit));
      return found.map((error) => ({ ...error, position: Number(error.position) }));
    },
    watch: (runId, signal) => watchRun(() => get(runId), signal),
    serve: (options) => serveRuns({ db, logger, kinds, host: me.host, pollMs: timing.pollMs, runHere, bell }, options),
  };
}

function createBell(): Bell {
  const listeners = new Set<() => void>();
  return {
    ring() {
      for (const listener of listeners) listener();
    },
    onRing(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
