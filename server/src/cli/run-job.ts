import { parseConfig } from '../config.ts';
import { DomainError } from '../core/errors.ts';
import { allowedActions, toJobDocument } from '../http/job-representation.ts';
import type { JobRun, JobState, JobThrottle } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { cliActor } from './actor.ts';
import { exitCodes, type Run } from './context.ts';
import { createJobDisplay, showJob } from './job-progress.ts';
import { endingLines, forecastDocument, forecastLines, summaryText } from './job-texts.ts';

export interface JobRequest {
  readonly kind: string;
  /** As the kind's schema takes them: snake_case. */
  readonly parameters: unknown;
  /** Queue it for the servers and come back at once. */
  readonly detach?: boolean;
  /** Do some batches, roll them back and say what the whole would take. */
  readonly dryRun?: boolean;
  readonly throttle?: Partial<JobThrottle>;
  /** Told which run it is, before any work at it. */
  readonly onStarted?: (run: JobRun) => void;
  /** How to go on with a run that was paused, where it is not `milliard jobs resume <id>`. */
  readonly resumeLine?: (run: JobRun) => string;
  /** Says what came out of a run that is done, in place of its result as it is stored. Not called with --json. */
  readonly onDone?: (run: JobRun) => void;
  /** With `onDone`: what stands behind `done:`, where rows are not what a person counts. */
  readonly summary?: (run: JobRun) => string;
}

export type EndingOptions = Pick<JobRequest, 'onDone' | 'resumeLine' | 'summary'>;

/**
 * Starts a run of a kind, or goes on with the unfinished one of the same key, in this process: shows its progress until it is
 * done, failed, cancelled or paused. SIGTERM and Ctrl-C finish the batch and pause it. While another living process works at
 * it, shows that one's progress.
 * @returns the exit code: 0 done, 1 failed, 4 paused, 5 cancelled
 * @throws DomainError as `Jobs.start` does, InvalidInputError for the parameters
 */
export async function runJob(run: Run, jobs: Jobs, request: JobRequest): Promise<number> {
  const actor = cliActor();
  if (request.dryRun === true) return rehearse(run, jobs, request);
  const { kind, parameters, throttle = {}, detach: detached = false } = request;
  const started = await jobs.start(kind, parameters, { actor, throttle, detached });
  request.onStarted?.(started.run);
  if (started.replayed && Object.keys(throttle).length > 0) await jobs.setThrottle(started.run.runId, throttle, actor);
  if (started.replayed)
    run.output.note(`This run is there already: going on with ${started.run.runId} (${started.run.state}).`);
  if (detached) return detachJob(run, jobs, started.run);
  return continueJob(run, jobs, { ...request, found: started.run });
}

/** Goes on with a run that is there, in this process, as `runJob` does. @returns the exit code */
export async function continueJob(
  run: Run,
  jobs: Jobs,
  { found, ...ending }: EndingOptions & { readonly found: JobRun },
): Promise<number> {
  const { runId } = found;
  await makeReady(jobs, found, false);
  const display = createJobDisplay(run.output);
  let last: JobRun;
  try {
    last = await jobs.runHere(runId, {
      signal: run.signal,
      whenStopped: 'pause',
      onProgress: (now) => display.show(now),
    });
  } catch (error) {
    await display.end(null);
    if (!(error instanceof DomainError) || error.code !== 'job_held_elsewhere') throw error;
    run.output.note(`${error.message} Showing its progress; Ctrl-C ends the showing only.`);
    return watchJob(run, jobs, { runId, ...ending });
  }
  await display.end(last);
  return finish(run, last, ending);
}

/** Shows a run until it ends, whoever works at it. @returns the exit code of how it ended */
export async function watchJob(
  run: Run,
  jobs: Jobs,
  { runId, ...ending }: EndingOptions & { readonly runId: JobRun['runId'] },
): Promise<number> {
  const last = await showJob(run.output, run.signal, jobs.watch(runId, run.signal));
  // Ctrl-C ends the watching, not the run.
  run.signal.throwIfAborted();
  return finish(run, last ?? (await jobs.get(runId)), ending);
}

const codes: Readonly<Record<JobState, number>> = {
  queued: exitCodes.done,
  running: exitCodes.failed,
  paused: exitCodes.paused,
  cancelling: exitCodes.cancelled,
  cancelled: exitCodes.cancelled,
  failed: exitCodes.failed,
  done: exitCodes.done,
};

/** The exit code that tells how a run stands. */
const exitCodeOf = (state: JobState): number => codes[state];

/** The line to be typed; a data folder that was named by a flag is named again. */
function standardResumeLine({ config, context }: Run, { runId }: JobRun): string {
  const { url, dataDir } = config().database;
  const isGiven = url === null && dataDir !== parseConfig(context.environment).database.dataDir;
  return `milliard jobs resume ${runId}${isGiven ? ` --data-dir ${dataDir}` : ''}`;
}

/** How a run that stands is gone on with. */
export const resumeLineOf = (run: Run, job: JobRun, { resumeLine }: EndingOptions): string =>
  resumeLine?.(job) ?? standardResumeLine(run, job);

/** Says how a run ended; the last NDJSON line was written by the display. */
function finish(run: Run, last: JobRun, ending: EndingOptions): number {
  const { output } = run;
  const { onDone, summary = summaryText } = ending;
  if (last.state === 'done' && onDone !== undefined) {
    output.say(`done: ${summary(last)}`);
    if (!output.json) onDone(last);
    return exitCodes.done;
  }
  const [headline = '', ...more] = endingLines(last, resumeLineOf(run, last, ending));
  if (last.state === 'failed') output.warn(headline);
  else output.say(headline);
  for (const line of more) output.say(line);
  return exitCodeOf(last.state);
}

/** A run that stands is queued, so that it can be taken; one that somebody works at, or that has died, is taken as it is. */
async function makeReady(jobs: Jobs, { runId, state }: JobRun, detached: boolean): Promise<void> {
  if (allowedActions(state).includes('resume')) await jobs.resume(runId, cliActor(), { detached });
}

/** Leaves a run to the servers. @returns the exit code */
export async function detachJob({ output }: Run, jobs: Jobs, found: JobRun): Promise<number> {
  await makeReady(jobs, found, true);
  const now = await jobs.get(found.runId);
  await output.record(toJobDocument(now));
  output.say(`${now.state}: ${now.runId}`);
  output.note(`A server (milliard serve, milliard dev) works at it. Look at it: milliard jobs watch ${now.runId}`);
  return exitCodes.done;
}

// So many batches show how fast the work is once caches are warm.
const rehearsedBatches = 10;

async function rehearse({ output }: Run, jobs: Jobs, { kind, parameters }: JobRequest): Promise<number> {
  const forecast = await jobs.rehearse(kind, parameters, { batches: rehearsedBatches, actor: cliActor() });
  for (const line of forecastLines(forecast)) output.say(line);
  await output.record(forecastDocument(forecast));
  return exitCodes.done;
}
