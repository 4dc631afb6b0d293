import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../core/ports.ts';
import type { Database } from '../storage/database.ts';
import type { JobKind, JobOwner, RunId } from './job.ts';
import type { Audit } from './job-audit.ts';
import { heldElsewhere, notStartableHere, runNotFound } from './job-errors.ts';
import { type RunLock, tryRunLock } from './job-lock.ts';
import { terminateBatches, terminateSilentOwner } from './job-lock-queries.ts';
import { claimRun, lockRun, selectRun } from './job-run-queries.ts';
import type { RunRow } from './job-run-row.ts';
import { requireNextState } from './job-states.ts';

export interface ClaimDeps {
  readonly db: Database;
  readonly logger: Logger;
  readonly audit: Audit;
  readonly me: JobOwner;
  /** An owner that holds its lock and has been silent for so long hangs. */
  readonly silentMs: number;
}

export interface Claim {
  readonly row: RunRow;
  readonly fence: number;
  readonly lock: RunLock;
}

// An owner that learnt of a pause finishes its batch before it lets go.
const lettingGoMs = 10_000;
const askAgainMs = 100;

/**
 * Takes a run for this process: the lock first, then the fence.
 * @throws DomainError `job_held_elsewhere`, `job_not_found`, `job_state_conflict`, `job_not_startable_here`; StorageError
 */
export async function claim(deps: ClaimDeps, runId: RunId, kind: JobKind): Promise<Claim> {
  const lock = await waitForLock(deps, runId);
  try {
    const [before] = await deps.db.query(selectRun(runId));
    // Whoever still works at it under an older claim can commit nothing: his locks shall not hold up this one.
    if (before !== undefined && before.fence > 0n) await endFormerWork(deps, runId);
    const row = await takeOver(deps, runId, kind);
    return { row, fence: Number(row.fence), lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function waitForLock(deps: ClaimDeps, runId: RunId): Promise<RunLock> {
  const deadlineMs = performance.now() + lettingGoMs;
  for (;;) {
    const lock = await tryRunLock(deps.db, runId);
    if (lock !== null) return lock;
    const [row] = await deps.db.query(selectRun(runId));
    if (row === undefined) throw runNotFound(runId);
    const ended = await deps.db.query(terminateSilentOwner(runId, deps.silentMs)).catch((error: unknown) => {
      deps.logger.warn({ err: error, runId }, 'cannot end the session of an owner that hangs');
      return [];
    });
    if (ended.length > 0)
      deps.logger.warn({ runId, ...ownerOf(row) }, 'ended the session of an owner that has been silent');
    const isLettingGo = row.state === 'queued' || ended.length > 0;
    if (!isLettingGo || performance.now() > deadlineMs) throw heldElsewhere(runId, ownerOf(row));
    await delay(askAgainMs);
  }
}

async function endFormerWork({ db, logger }: ClaimDeps, runId: RunId): Promise<void> {
  await db.query(terminateBatches(runId)).catch((error: unknown) => {
    logger.warn({ err: error, runId }, 'cannot end transactions of the former owner');
  });
}

async function takeOver({ db, me, logger, audit }: ClaimDeps, runId: RunId, kind: JobKind): Promise<RunRow> {
  await audit.prepare();
  return db.transaction(
    async (tx) => {
      const [row] = await tx.run(lockRun(runId));
      if (row === undefined) throw runNotFound(runId);
      if (kind.runsOn === 'same host' && row.homeHost !== me.host) throw notStartableHere(kind.name, row.homeHost);
      const state = requireNextState(row.state, 'claim');
      const former = ownerOf(row);
      const isMine = former?.host === me.host && former.pid === me.pid;
      const replaced = isMine ? null : former;
      if (replaced !== null)
        logger.warn(
          { runId, kind: row.kind, host: replaced.host, pid: replaced.pid },
          `takes the run over from process ${replaced.pid} on ${replaced.host}, which no longer works at it`,
        );
      await tx.run(
        claimRun({
          runId,
          state,
          host: me.host,
          pid: me.pid,
          replacedHost: replaced?.host ?? null,
          replacedPid: replaced?.pid ?? null,
        }),
      );
      if (replaced !== null)
        await audit.write(tx, {
          actor: row.actor,
          action: 'job.takeover',
          runId,
          facts: { kind: row.kind, owner: { ...me }, replaced_owner: { ...replaced } },
        });
      const [claimed] = await tx.run(selectRun(runId));
      if (claimed === undefined) throw runNotFound(runId);
      return claimed;
    },
    // Done twice it raises the fence twice: no harm.
    { idempotent: true },
  );
}

const ownerOf = (row: RunRow): JobOwner | null =>
  row.ownerHost === null || row.ownerPid === null ? null : { host: row.ownerHost, pid: row.ownerPid };
