import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';

// Class of the advisory lock that every transaction at work for a run holds (jobs/job-lock-queries.ts), fixed for ever.
const batchLockClass = 1_835_625_066;

/** What a batch of a rotation is at while it issues tokens. */
const issuingTokens = 'insert into ticket_tokens';

/**
 * The transactions of batches that are in the middle of their work at this moment: they hold the lock of their run, have a
 * transaction number, and their statement with these words goes on.
 */
async function openBatches(db: Database, words: string = issuingTokens): Promise<string[]> {
  const rows = await db.query(
    dynamic<{ xid: string }>(sql`
      select distinct a.backend_xid::text as xid from pg_locks l join pg_stat_activity a on a.pid = l.pid
       where l.locktype = 'advisory' and l.classid = ${batchLockClass}::bigint::oid and l.granted and a.backend_xid is not null
         and a.state = 'active' and position(${words} in a.query) > 0`),
  );
  return rows.map(({ xid }) => xid);
}

/** Waits until such a transaction is there, asking without a pause: a batch takes some milliseconds. `[]` = `isOver` came first. */
export async function untilBatchIsOpen(db: Database, isOver: () => boolean, words?: string): Promise<string[]> {
  while (!isOver()) {
    const open = await openBatches(db, words);
    if (open.length > 0) return open;
  }
  return [];
}

/** What became of a transaction; `aborted` = all that it did is undone. Of a cluster younger than four thousand million transactions. */
export async function outcomeOf(db: Database, xid: string): Promise<'committed' | 'aborted'> {
  for (;;) {
    const [row] = await db.query(
      dynamic<{ status: string | null }>(sql`select pg_xact_status(${xid}::xid8) as status`),
    );
    if (row?.status === 'committed' || row?.status === 'aborted') return row.status;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
