import type { JobRun, RunId } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Run } from './context.ts';
import { type JobRequest, runJob } from './run-job.ts';

export interface JobOutcome {
  readonly exitCode: number;
  /** The run when it is done: its figures are those of all processes that worked at it. Null otherwise, and after a rehearsal. */
  readonly done: JobRun | null;
}

/** `runJob` for commands that have something to say about what came out of it. */
export async function runJobForOutcome(run: Run, jobs: Jobs, request: JobRequest): Promise<JobOutcome> {
  let runId: RunId | null = null;
  const exitCode = await runJob(run, jobs, {
    ...request,
    onStarted(started) {
      runId = started.runId;
      request.onStarted?.(started);
    },
  });
  const last = runId === null ? null : await jobs.get(runId);
  return { exitCode, done: last?.state === 'done' ? last : null };
}
