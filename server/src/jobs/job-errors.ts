import { DomainError } from '../core/errors.ts';
import type { JobOwner, RunId } from './job.ts';

export type JobErrorCode =
  | 'job_kind_unknown'
  | 'job_not_found'
  | 'job_state_conflict'
  | 'job_held_elsewhere'
  | 'job_refused'
  | 'job_key_reused'
  | 'job_not_startable_here';

export const kindUnknown = (kind: string, known: readonly string[]): DomainError<JobErrorCode> =>
  new DomainError('job_kind_unknown', `There is no kind of job "${kind}". Known: ${known.join(', ') || 'none'}.`, {
    kind,
    known,
  });

export const runNotFound = (runId: string): DomainError<JobErrorCode> =>
  new DomainError('job_not_found', `There is no run ${runId}.`, { run_id: runId });

export const heldElsewhere = (runId: RunId, owner: JobOwner | null): DomainError<JobErrorCode> =>
  new DomainError(
    'job_held_elsewhere',
    owner === null
      ? `Another process is taking the run ${runId} just now.`
      : `Process ${owner.pid} on ${owner.host} works at the run ${runId}.`,
    { run_id: runId, host: owner?.host ?? null, pid: owner?.pid ?? null },
  );

/** For kinds: the run cannot be, and why. */
export const jobRefused = (message: string, facts: Readonly<Record<string, unknown>> = {}): DomainError<JobErrorCode> =>
  new DomainError('job_refused', message, facts);

export const keyReused = (runId: RunId): DomainError<JobErrorCode> =>
  new DomainError('job_key_reused', 'This key belongs to another request. Use a new key for a new run.', {
    run_id: runId,
  });

export const notStartableHere = (kind: string, host: string): DomainError<JobErrorCode> =>
  new DomainError(
    'job_not_startable_here',
    `A run of ${kind} needs files of the machine it was started on (${host}): run it there from the command line.`,
    { kind, host },
  );
