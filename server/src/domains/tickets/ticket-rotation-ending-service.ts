import type { TicketId } from '../../core/ids.ts';
import { formatInstant } from '../../core/time.ts';
import type { JobContext, JobFinish, JobTotal } from '../../jobs/job.ts';
import type { Database } from '../../storage/database.ts';
import { makeRoom } from './ticket-purge-service.ts';
import type { RotationParameters } from './ticket-rotation.ts';
import { createProof, faultsOf, type ProofStep, type RotationProof } from './ticket-rotation-proof-service.ts';
import {
  type AuditEntry,
  countTickets,
  countTicketsOfEvent,
  insertAuditEntry,
  type OwnGeneration,
  supersedingGeneration,
} from './ticket-rotation-queries.ts';
import { findIssuers, type Issuer } from './token-generations-service.ts';

// Beyond this a run would wait seconds for its own total.
const countedExactly = 5_000_000;

/** What one process knows of its run. */
export interface RotationState {
  own: OwnGeneration | null;
  /** Transactions that may issue older tokens still; null = nobody has looked yet. */
  issuers: readonly Issuer[] | null;
  total: JobTotal | null;
  /** Rows that are looked at again because tickets without a token were found. */
  againRows: number;
  proof: (() => Promise<ProofStep>) | null;
}

export const ownOf = ({ own }: RotationState): OwnGeneration => {
  if (own === null) throw new RangeError('The cut-off of this rotation is not committed yet.');
  return own;
};

/** An entry of the audit log about this run. */
export const auditEntry = (
  { runId, actor, parameters }: JobContext<RotationParameters>,
  action: AuditEntry['action'],
  facts: object,
): AuditEntry => ({ runId, actor, action, event: parameters.event, facts });

/** How many tickets a rotation is about. */
export async function countScope(db: Database, event: string | null): Promise<JobTotal> {
  if (event !== null) {
    const [counted] = await db.query(countTicketsOfEvent(event));
    return { rows: counted?.rows ?? 0, precision: 'exact' };
  }
  const [counted] = await db.query(countTickets(countedExactly));
  return { rows: counted?.rows ?? 0, precision: counted?.exact === false ? 'estimate' : 'exact' };
}

/** Every ticket has been looked at: waits for those who may issue old tokens still, then proves. */
export async function finishRotation(
  context: JobContext<RotationParameters>,
  state: RotationState,
): Promise<JobFinish<TicketId>> {
  const { db } = context;
  const own = ownOf(state);
  const [newer] = await db.query(supersedingGeneration(own));
  if (newer !== undefined) return superseded(context, own, newer.generation);
  const issuers = await issuersLeft(db, state);
  if (issuers.length > 0) {
    const who = issuers.map(({ pid }) => pid).join(', ');
    const reason = `a transaction that began before the cut-off may still issue old tokens (database process ${who})`;
    return { kind: 'wait', reason, retryAfterMs: 200 };
  }
  state.total ??= await countScope(db, own.event);
  state.proof ??= createProof({ db, own, tickets: await countAll(db) });
  const step = await state.proof();
  if (step.kind === 'working')
    return { kind: 'wait', reason: `proving (${Math.floor(step.share * 100)} % of the tickets)`, retryAfterMs: 0 };
  state.proof = null;
  if (step.kind === 'incomplete') {
    state.againRows += state.total.rows;
    const reason = `${step.tickets.toLocaleString('en')} tickets were made by transactions that began before the cut-off`;
    return { kind: 'again', from: step.from, reason };
  }
  return concluded(context, own, step.proof);
}

/** Of the transactions that issued tokens when this process first asked, after the cut-off, those that still do. */
async function issuersLeft(db: Database, state: RotationState): Promise<readonly Issuer[]> {
  const now = await findIssuers({ run: (statement) => db.query(statement) });
  const names = new Set((state.issuers ?? now).map(({ transaction }) => transaction));
  state.issuers = now.filter(({ transaction }) => names.has(transaction));
  return state.issuers;
}

async function countAll(db: Database): Promise<number> {
  const [counted] = await db.query(countTickets(countedExactly));
  return counted?.rows ?? 0;
}

async function superseded(
  context: JobContext<RotationParameters>,
  own: OwnGeneration,
  by: number,
): Promise<JobFinish<TicketId>> {
  const result = { generation: own.generation, superseded_by: by };
  await context.db.query(insertAuditEntry(auditEntry(context, 'tickets.rotation.finished', result)));
  return { kind: 'done', result };
}

async function concluded(
  context: JobContext<RotationParameters>,
  own: OwnGeneration,
  proof: RotationProof,
): Promise<JobFinish<TicketId>> {
  const result = resultOf(own, proof);
  const faults = faultsOf(proof);
  if (faults.length > 0)
    return {
      kind: 'failed',
      message: `The proof does not hold: ${faults.join('; ')}. Resume the run to prove again.`,
      result,
    };
  await makeRoom(context.db, own.generation);
  await context.db.query(insertAuditEntry(auditEntry(context, 'tickets.rotation.finished', result)));
  return { kind: 'done', result };
}

/** The proof as it is kept with the run and in the audit log. */
const resultOf = (own: OwnGeneration, { inScope, outOfScope }: RotationProof) => ({
  generation: own.generation,
  event: own.event,
  refused_from: formatInstant(own.refusedFrom),
  in_scope: {
    tickets: inScope.tickets,
    without_current_token: inScope.withoutToken,
    duplicate_tokens: inScope.duplicates,
    old_tokens_that_verify: inScope.oldThatVerify,
  },
  out_of_scope: { tickets: outOfScope.tickets, verify: outOfScope.verify, lost: outOfScope.lost },
});
