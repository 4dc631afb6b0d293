import type { Day } from '../core/days.ts';
import type { Session } from './database.ts';
import { dailyTable, rawPartitionOf } from './day-partitions.ts';
import { statement } from './sql.ts';

/** How far a raw day is on its way out. `detaching`: a DETACH … CONCURRENTLY was begun and did not end. */
export type RawDayState = 'attached' | 'detaching' | 'detached' | 'gone';

const selectState = statement<{ isDetaching: boolean | null }, [string]>(
  'usage_partition_state',
  `select i.inhdetachpending as "isDetaching" from pg_class c left join pg_inherits i on i.inhrelid = c.oid
    where c.relname = $1 and c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'`,
  (name) => [name],
);

export async function rawDayState(session: Pick<Session, 'run'>, day: Day): Promise<RawDayState> {
  const [found] = await session.run(selectState(rawPartitionOf(day)));
  if (found === undefined) return 'gone';
  if (found.isDetaching === null) return 'detached';
  return found.isDetaching ? 'detaching' : 'attached';
}

export interface TakeRawDayOutOptions {
  /** The database is a Citus cluster, which refuses DETACH … CONCURRENTLY: a plain one, which waits for readers and writers. */
  readonly isCitus: boolean;
}

// DETACH … CONCURRENTLY waits so long for those who use the table, and nobody waits for it meanwhile.
const patienceMs = 10_000;
// A plain DETACH and DROP make others wait while they wait themselves.
const shortPatienceMs = 500;

/**
 * The next step on the way of a raw day out of the table: detach, finish a detaching that was broken off, drop. Each step is
 * complete in itself, so that whoever comes after a crash goes on. Not within a transaction.
 * @throws StorageError of kind lock_timeout when the day is in use: try again
 */
export async function takeRawDayOut(
  session: Session,
  { day, state }: { readonly day: Day; readonly state: Exclude<RawDayState, 'gone'> },
  { isCitus }: TakeRawDayOutOptions,
): Promise<void> {
  const name = rawPartitionOf(day);
  const step = {
    attached: `alter table ${dailyTable} detach partition ${name}${isCitus ? '' : ' concurrently'}`,
    detaching: `alter table ${dailyTable} detach partition ${name} finalize`,
    detached: `drop table ${name}`,
  }[state];
  const isPatient = state !== 'detached' && !isCitus;
  await session.script(`set lock_timeout = ${isPatient ? patienceMs : shortPatienceMs}`);
  try {
    await session.script(step);
  } finally {
    await session.script('set lock_timeout = 0').catch(() => {});
  }
}
