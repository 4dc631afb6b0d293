import type { Instant } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import { countTickets, countTicketsOfEvent, generationOfRun } from './ticket-rotation-queries.ts';

/** From when on a rotation refuses older tokens. */
export interface CutOff {
  readonly generation: number;
  readonly refusedFrom: Instant;
  /** Old tokens are accepted until `refusedFrom`. */
  readonly hasGrace: boolean;
}

/** The cut-off of a run, null before it is committed. */
export async function findCutOff(db: Database, runId: string): Promise<CutOff | null> {
  const [own] = await db.query(generationOfRun(runId));
  if (own === undefined) return null;
  const { generation, refusedFrom, createdAt } = own;
  return { generation, refusedFrom, hasGrace: refusedFrom > createdAt };
}

// Beyond this an estimate does: it is read by a person who is asked whether he is sure.
const countedExactly = 1_000_000;

/** How many tickets a rotation is about. */
export async function countTicketsInScope(
  db: Database,
  event: string | null,
): Promise<{ readonly rows: number; readonly exact: boolean }> {
  const [counted] = await db.query(event === null ? countTickets(countedExactly) : countTicketsOfEvent(event));
  return { rows: counted?.rows ?? 0, exact: counted === undefined || !('exact' in counted) || counted.exact === true };
}
