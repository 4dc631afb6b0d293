import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../core/errors.ts';
import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobKind, JobRun, RunId } from './job.ts';
import { sweepUntil } from './job-retention.ts';
import { selectClaimable } from './job-run-queries.ts';

export interface ServerDeps {
  readonly db: Database;
  readonly logger: Logger;
  readonly kinds: readonly JobKind[];
  readonly host: string;
  readonly pollMs: number;
  readonly runHere: (runId: RunId, options: { signal: AbortSignal; whenStopped: 'release' }) => Promise<JobRun>;
  readonly bell: Bell;
}

/** Rings when a run was queued in this very process: no need to wait for the next look. */
export interface Bell {
  ring(): void;
  /** Returns how to stop listening. */
  onRing(listener: () => void): () => void;
}

// After an outage the process that had a run gets it back first: it has its files open and its place in mind.
const afterOutageMs = 3_000;

/** Takes queued runs and orphans, so many at once, until the signal; then waits for them to be released. */
export async function serveRuns(
  deps: ServerDeps,
  { signal, concurrency }: { signal: AbortSignal; concurrency: number },
): Promise<void> {
  const busy = new Map<RunId, Promise<void>>();
  const named = (where: JobKind['runsOn']) =>
    deps.kinds.filter(({ runsOn }) => runsOn === where).map(({ name }) => name);
  const [anywhere, sameHost] = [named('anyone'), named('same host')];
  let isAway = false;

  const look = async (): Promise<number> => {
    if (busy.size >= concurrency || deps.kinds.length === 0) return deps.pollMs;
    const found = await deps.db.query(selectClaimable(anywhere, sameHost, deps.host)).catch((error: unknown) => {
      if (!isAway) deps.logger.warn({ err: error }, 'cannot look for queued runs; goes on trying');
      isAway = true;
      return null;
    });
    if (found === null) return deps.pollMs;
    if (isAway) {
      isAway = false;
      return afterOutageMs;
    }
    for (const { runId } of found) {
      if (busy.size >= concurrency || signal.aborted) break;
      if (!busy.has(runId))
        busy.set(
          runId,
          take(deps, runId, signal).finally(() => busy.delete(runId)),
        );
    }
    return deps.pollMs;
  };

  const swept = sweepUntil(signal, deps);
  while (!signal.aborted) await untilNext(deps.bell, signal, await look());
  await Promise.all([...busy.values(), swept]);
}

/** Waits for the time, the bell or the signal, whichever comes first. */
async function untilNext(bell: Bell, signal: AbortSignal, ms: number): Promise<void> {
  const waiting = new AbortController();
  const wake = () => waiting.abort();
  const stopListening = bell.onRing(wake);
  signal.addEventListener('abort', wake, { once: true });
  if (!signal.aborted) await delay(ms, undefined, { signal: waiting.signal }).catch(() => {});
  signal.removeEventListener('abort', wake);
  stopListening();
}

/** Never rejects: what is wrong with a run stands in the run, the rest in the log. */
async function take(deps: ServerDeps, runId: RunId, signal: AbortSignal): Promise<void> {
  try {
    const run = await deps.runHere(runId, { signal, whenStopped: 'release' });
    deps.logger.info({ runId, kind: run.kind, state: run.state, doneRows: run.doneRows }, `run is ${run.state}`);
  } catch (error) {
    // Somebody else was quicker.
    if (error instanceof DomainError) return deps.logger.debug({ runId, code: error.code }, error.message);
    deps.logger.error({ err: error, runId }, 'could not work at a run');
  }
}
