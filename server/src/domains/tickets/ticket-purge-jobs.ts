import { z } from 'zod';
import { type Bucket, bucketCount } from '../../core/bucket.ts';
import type { TicketId } from '../../core/ids.ts';
import type { JobBatch, JobContext, JobFinish, JobKind, JobWork } from '../../jobs/job.ts';
import type { Transaction } from '../../storage/transaction.ts';
import {
  countDueTickets,
  type DuePurge,
  deleteOldTokens,
  duePurges,
  markPurged,
  markPurgedUpTo,
} from './ticket-purge-queries.ts';
import { dropDuePartitions } from './ticket-purge-service.ts';
import { beforeAll, lastIdOfBucket, purgeKind } from './ticket-rotation.ts';
import { nextTicketsOfEvent } from './ticket-rotation-queries.ts';

const purgeParameters = z.strictObject({});
type PurgeParameters = z.output<typeof purgeParameters>;

/** The rotation of one event that is being purged, and its last ticket done. */
type Cursor = { readonly generation: number; readonly after: TicketId };

interface Plan {
  readonly due: DuePurge & { readonly event: string };
  readonly after: TicketId;
  /** null = no ticket is left: the rotation is marked as purged. */
  readonly upTo: TicketId | null;
}

/**
 * Deletes tokens that were rotated so long ago that they need not be told from unknown ones any longer: of one event row by row,
 * of all tickets by dropping the partition. A token that is accepted is never touched.
 */
export const purgeTokensKind = (): JobKind<PurgeParameters, Cursor, Plan> => ({
  name: purgeKind,
  title: 'delete old ticket tokens whose keep period is over',
  parameters: purgeParameters,
  runsOn: 'anyone',
  batchRows: { initial: 1_000, min: 100, max: 20_000 },
  maxRowErrors: 0,
  tables: () => ['ticket_tokens'],
  uniqueKey: () => 'all',
  open: async (context) => createWork(context),
});

const start = beforeAll.ticketId as TicketId;
const end = lastIdOfBucket((bucketCount - 1) as Bucket);
const retryHeldMs = 5_000;

function createWork({ db }: JobContext<PurgeParameters>): JobWork<Cursor, Plan> {
  return {
    async total() {
      const [counted] = await db.query(countDueTickets());
      return { rows: counted?.rows ?? 0, precision: 'estimate' };
    },
    plan: (tx, { after, rows }) => planBatch(tx, after, rows),
    async apply(tx, { plan: { due, after, upTo } }) {
      if (upTo === null) {
        await tx.run(markPurged(due.generation));
        return { counts: {} };
      }
      const [counts] = await tx.run(deleteOldTokens(due, after, upTo));
      return { counts: { deleted: counts?.deleted ?? 0 } };
    },
    async finish(): Promise<JobFinish<Cursor>> {
      const { dropped, held, upTo } = await dropDuePartitions(db);
      if (held > 0) {
        const reason = 'a long transaction (a backup?) reads old tokens, so that they cannot be dropped';
        return { kind: 'wait', reason, retryAfterMs: retryHeldMs };
      }
      if (upTo !== null) await db.query(markPurgedUpTo(upTo));
      return { kind: 'done', result: { dropped_partitions: dropped } };
    },
  };
}

/** The next tickets of the rotation at hand; behind its last one, that it is through; then those of the next rotation. */
async function planBatch(tx: Transaction, cursor: Cursor | null, rows: number): Promise<JobBatch<Cursor, Plan> | null> {
  const dues = await tx.run(duePurges((cursor?.generation ?? 1) - 1));
  const due = dues.find(({ event }) => event !== null);
  if (due === undefined || due.event === null) return null;
  const { generation, event } = due;
  const after = cursor?.generation === generation ? cursor.after : start;
  const [last] = await tx.run(nextTicketsOfEvent(event, after, rows));
  const upTo = last?.ticketId ?? null;
  return {
    rows: last?.rows ?? 0,
    cursor: { generation, after: upTo ?? end },
    plan: { due: { generation, event }, after, upTo },
    rowKey: upTo ?? `generation ${generation}`,
  };
}
