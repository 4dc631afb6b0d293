import type { TicketId } from '../../core/ids.ts';
import { formatInstant } from '../../core/time.ts';
import type { JobContext, JobKind, JobWork, Json } from '../../jobs/job.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { createPartition, tokenPartitions } from './ticket-purge-queries.ts';
import {
  beforeAll,
  behindAll,
  bucketParts,
  homeOf,
  lastIdOfBucket,
  nextGeneration,
  type RotationParameters,
  rotateKind,
  rotationKey,
  rotationParameters,
  stretchLength,
  stretchOf,
} from './ticket-rotation.ts';
import { auditEntry, countScope, finishRotation, ownOf, type RotationState } from './ticket-rotation-ending-service.ts';
import {
  commitSynchronously,
  generationOfRun,
  insertAuditEntry,
  insertGeneration,
  issueGeneration,
  issueGenerationOfEvent,
  lockGenerations,
  nextTickets,
  nextTicketsOfEvent,
  type OwnGeneration,
  supersedingGeneration,
  walkIndexes,
} from './ticket-rotation-queries.ts';
import { tokenGenerations } from './token-generations-queries.ts';

/** The last ticket done: in the order of (bucket, id) for all tickets, of the id for one event. */
type Cursor = TicketId;
type Plan = { readonly after: TicketId | null; readonly upTo: TicketId };

// Below this two connections cost more than they save.
const rowsWorthTwoRanges = 20_000;

/**
 * Gives every ticket in scope a new token. What makes the old ones worthless is the cut-off, which `begin` commits before
 * anything else: the batches only bring the new ones. Void tickets get none.
 */
export const rotateTokensKind = (): JobKind<RotationParameters & Json, Cursor, Plan> => ({
  name: rotateKind,
  title: 'refuse every old ticket token and issue new ones',
  parameters: rotationParameters,
  runsOn: 'anyone',
  batchRows: { initial: 2_000, min: 100, max: 20_000 },
  // A ticket without a token is no outcome: whatever fails is mended, and the run resumed.
  maxRowErrors: 0,
  tables: () => ['ticket_tokens', 'tickets'],
  uniqueKey: rotationKey,
  async open(context) {
    const [own] = await context.db.query(generationOfRun(context.runId));
    return createWork(context, own ?? null);
  },
});

function createWork(context: JobContext<RotationParameters>, found: OwnGeneration | null): JobWork<Cursor, Plan> {
  const { db, parameters, rehearsal } = context;
  const { event } = parameters;
  const state: RotationState = { own: found, issuers: null, total: null, againRows: 0, proof: null };
  return {
    async begin(tx) {
      state.own = await cutOff(tx, context);
    },
    async total() {
      state.total ??= await countScope(db, event);
      return { ...state.total, rows: state.total.rows + state.againRows };
    },
    async ranges() {
      const rows = (state.total ?? (await countScope(db, event))).rows;
      if (event !== null || rows < rowsWorthTwoRanges) return [{ from: null, to: null }];
      const [first] = bucketParts(2);
      const middle = first === undefined ? null : lastIdOfBucket(first.last);
      return [
        { from: null, to: middle },
        { from: middle, to: null },
      ];
    },
    async plan(tx, { after, upTo, rows }) {
      const own = ownOf(state);
      if (!rehearsal) {
        // A rehearsal holds the locks of its own cut-off: it asks for nothing else.
        if ((await tx.run(supersedingGeneration(own))).length > 0) return null;
      }
      const statement =
        own.event === null
          ? nextTickets(stretch(after, upTo), rows)
          : nextTicketsOfEvent(own.event, after ?? (beforeAll.ticketId as TicketId), rows);
      const [last] = await tx.run(statement);
      if (last === undefined) return null;
      const { ticketId } = last;
      return { rows: last.rows, cursor: ticketId, plan: { after, upTo: ticketId }, rowKey: ticketId };
    },
    async apply(tx, { rows, plan }) {
      const own = ownOf(state);
      await tx.run(walkIndexes());
      const after = plan.after ?? (beforeAll.ticketId as TicketId);
      const statement =
        own.event === null
          ? issueGeneration(own.generation, stretch(plan.after, plan.upTo))
          : issueGenerationOfEvent({ ...own, event: own.event }, after, plan.upTo);
      const [counts] = await tx.run(statement);
      const issued = counts?.issued ?? 0;
      return { counts: { issued, left_alone: rows - issued } };
    },
    finish: () => finishRotation(context, state),
    async cancel() {
      if (state.own === null) return;
      const facts = { generation: state.own.generation, old_tokens_stay_refused: true };
      await db.query(insertAuditEntry(auditEntry(context, 'tickets.rotation.cancelled', facts)));
    },
  };
}

const stretch = (after: TicketId | null, upTo: TicketId | null) => ({
  after: after === null ? beforeAll : homeOf(after),
  upTo: upTo === null ? behindAll : homeOf(upTo),
});

/** From the commit of this transaction on, the older tokens in scope are worthless (or from the end of the grace on). */
async function cutOff(tx: Transaction, context: JobContext<RotationParameters>): Promise<OwnGeneration> {
  const { runId, parameters, rehearsal } = context;
  await tx.run(commitSynchronously());
  if (!rehearsal) await tx.run(lockGenerations());
  const next = nextGeneration(await tx.run(tokenGenerations()), parameters.event);
  // A rehearsal takes the last number of the partition: a cut-off beside it must not wait until it has rolled back.
  const generation = rehearsal ? stretchOf(next) + stretchLength - 1 : next;
  const [own] = await tx.run(
    insertGeneration({
      generation,
      event: parameters.event,
      runId,
      graceSeconds: parameters.grace_seconds,
      keepDays: parameters.keep_days,
    }),
  );
  if (own === undefined) throw new RangeError('The cut-off was not stored.');
  const partitions = await tx.run(tokenPartitions());
  // It stands ready, made by the migration or by the rotation before: a cut-off does not wait for DDL.
  if (!partitions.some(({ stretch: made }) => made === stretchOf(generation)))
    for (const statement of createPartition(generation)) await tx.run(statement);
  const facts = {
    generation,
    refused_from: formatInstant(own.refusedFrom),
    reason: parameters.reason,
    grace_seconds: parameters.grace_seconds,
    keep_days: parameters.keep_days,
  };
  await tx.run(insertAuditEntry(auditEntry(context, 'tickets.rotation.cut_off', facts)));
  return own;
}
