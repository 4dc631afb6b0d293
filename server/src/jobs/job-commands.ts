import { hash } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { DomainError, InvalidInputError } from '../core/errors.ts';
import { fieldErrorsOf } from '../core/validation.ts';
import type { Database } from '../storage/database.ts';
import type { JobKind, JobRun, JobState, Json, RunId } from './job.ts';
import type { Audit } from './job-audit.ts';
import { keyReused, runNotFound } from './job-errors.ts';
import {
  type AuditEntry,
  allowMoreErrors,
  insertRun,
  lockRun,
  moveRun,
  type NewRun,
  selectRequested,
  selectRun,
  selectUnfinished,
  setThrottle,
} from './job-run-queries.ts';
import { type RunRow, runOf } from './job-run-row.ts';
import { isFinal, requireNextState } from './job-states.ts';
import type { Jobs, StartOptions } from './jobs.ts';
import { checkThrottle, standardThrottle } from './throttle.ts';

export interface CommandDeps {
  readonly db: Database;
  readonly audit: Audit;
  readonly host: string;
  readonly reservedMs: number;
  readonly kindOf: (name: string) => JobKind;
  readonly rowOf: (runId: string) => Promise<RunRow>;
  readonly runHere: Jobs['runHere'];
  readonly bell: { ring(): void };
}

type OperatorEvent = 'pause' | 'resume' | 'cancel';
type Commands = Pick<Jobs, 'start' | 'pause' | 'resume' | 'cancel' | 'setThrottle'>;

/** What operators do with runs; every deed is one transaction with its line in the audit log. */
export function createCommands(deps: CommandDeps): Commands {
  const { db, bell } = deps;
  return {
    async start(kindName, given, options) {
      const kind = deps.kindOf(kindName);
      const parameters = parseParameters(kind, given);
      checkThrottle(options.throttle ?? {});
      const start = {
        parameters,
        uniqueKey: kind.uniqueKey(parameters),
        request: requestOf(kind, parameters, options),
        options,
      };
      const found = await findRun(deps, kind, start);
      if (found !== null) return { run: found, replayed: true };
      await kind.check?.({ db, parameters, actor: options.actor });
      const started = await insertOrFind(deps, kind, start);
      if (!started.replayed) bell.ring();
      return started;
    },
    async pause(runId, actor) {
      await move(deps, runId, { event: 'pause', actor, reservedMs: 0 });
      return runOf(await deps.rowOf(runId));
    },
    async resume(runId, actor, options = {}) {
      await move(deps, runId, { event: 'resume', actor, reservedMs: options.detached === true ? 0 : deps.reservedMs });
      bell.ring();
      return runOf(await deps.rowOf(runId));
    },
    async cancel(runId, actor) {
      const state = await move(deps, runId, { event: 'cancel', actor, reservedMs: 0 });
      if (!isFinal(state)) await tidyUpHere(deps, runId);
      return runOf(await deps.rowOf(runId));
    },
    async setThrottle(runId, throttle, actor) {
      checkThrottle(throttle);
      const row = await deps.rowOf(runId);
      if (isFinal(row.state))
        throw new DomainError('job_state_conflict', `The run is ${row.state}: nothing can be set any more.`, {
          state: row.state,
          allowed: [],
        });
      await deps.audit.prepare();
      await db.transaction(
        async (tx) => {
          await tx.run(setThrottle(row.runId, throttle));
          await deps.audit.write(tx, {
            actor,
            action: 'job.set',
            runId: row.runId,
            facts: { throttle: { ...throttle } },
          });
        },
        { idempotent: true },
      );
      return runOf(await deps.rowOf(runId));
    },
  };
}

/** @throws InvalidInputError naming every fault */
export function parseParameters(kind: JobKind, given: unknown): Json {
  const parsed = kind.parameters.safeParse(given);
  if (!parsed.success) throw new InvalidInputError(fieldErrorsOf(parsed.error));
  return parsed.data;
}

interface NewStart {
  readonly parameters: Json;
  readonly uniqueKey: string | null;
  readonly request: Request | null;
  readonly options: StartOptions;
}

/** A request that its client named, and what it asks for. */
interface Request {
  readonly actor: string;
  readonly key: string;
  readonly hash: Buffer;
}

function requestOf(kind: JobKind, parameters: Json, { actor, requestKey }: StartOptions): Request | null {
  if (requestKey === undefined) return null;
  return { actor, key: requestKey, hash: hash('sha256', JSON.stringify([kind.name, parameters]), 'buffer') };
}

/** The run that this start would be once more; null = there is none. @throws DomainError `job_key_reused` */
async function findRun({ db }: CommandDeps, kind: JobKind, { request, uniqueKey }: NewStart): Promise<JobRun | null> {
  if (request !== null) {
    const [requested] = await db.query(selectRequested(request.actor, request.key));
    if (requested !== undefined && !requested.requestHash.equals(request.hash)) throw keyReused(requested.runId);
    if (requested !== undefined) return runOf(requested);
  }
  const [unfinished] = uniqueKey === null ? [] : await db.query(selectUnfinished(kind.name, uniqueKey));
  return unfinished === undefined ? null : runOf(unfinished);
}

async function insertOrFind(
  deps: CommandDeps,
  kind: JobKind,
  start: NewStart,
): Promise<{ run: JobRun; replayed: boolean }> {
  const { db, audit, host, reservedMs } = deps;
  const { parameters, uniqueKey, request, options } = start;
  await audit.prepare();
  const runId = uuidv7() as RunId;
  const { actor } = options;
  const newRun: NewRun = {
    runId,
    kind: kind.name,
    uniqueKey,
    requestKey: request?.key ?? null,
    requestHash: request?.hash ?? null,
    parameters,
    actor,
    homeHost: host,
    batchRows: kind.batchRows.initial,
    maxRowErrors: kind.maxRowErrors,
    throttle: { ...standardThrottle, ...options.throttle },
    reservedMs: options.detached === true ? 0 : reservedMs,
  };
  for (;;) {
    const inserted = await db.transaction(
      async (tx) => {
        // The first attempt was committed and its answer lost.
        const [own] = await tx.run(selectRun(runId));
        if (own !== undefined) return own;
        const rows = await tx.run(insertRun(newRun));
        if (rows.length === 0) return undefined;
        await audit.write(tx, { actor, action: 'job.start', runId, facts: { kind: kind.name, parameters } });
        return (await tx.run(selectRun(runId)))[0];
      },
      { idempotent: true },
    );
    if (inserted !== undefined) return { run: runOf(inserted), replayed: false };
    const found = await findRun(deps, kind, start);
    if (found !== null) return { run: found, replayed: true };
    // It ended between the two statements: this start makes a new one after all.
  }
}

const actions: Record<OperatorEvent, AuditEntry['action']> = {
  pause: 'job.pause',
  resume: 'job.resume',
  cancel: 'job.cancel',
};

/** @throws DomainError `job_not_found`, `job_state_conflict` */
async function move(
  { db, audit, rowOf }: CommandDeps,
  given: RunId,
  { event, actor, reservedMs }: { event: OperatorEvent; actor: string; reservedMs: number },
): Promise<JobState> {
  const { runId } = await rowOf(given);
  await audit.prepare();
  return db.transaction(async (tx) => {
    const [row] = await tx.run(lockRun(runId));
    if (row === undefined) throw runNotFound(runId);
    const state = requireNextState(row.state, event);
    // What has not begun leaves nothing behind: two events at once.
    const isNothingDone = event === 'cancel' && row.begunAt === null && row.ownerPid === null;
    const to = isNothingDone ? requireNextState(state, 'cancelled') : state;
    await tx.run(moveRun(runId, to, reservedMs));
    if (event === 'resume' && row.state === 'failed') await tx.run(allowMoreErrors(runId));
    await audit.write(tx, { actor, action: actions[event], runId, facts: { kind: row.kind, state: to } });
    return to;
  });
}

/** A cancelled run that nobody holds is tidied up at once; its owner, or a server, does it otherwise. */
async function tidyUpHere({ runHere }: CommandDeps, runId: RunId): Promise<void> {
  try {
    await runHere(runId, { signal: new AbortController().signal, whenStopped: 'release' });
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
  }
}
