import { type Day, dayOf, formatDay, startOfDay } from '../core/days.ts';
import { type Month, monthName, monthOf, startOfMonth } from '../core/time.ts';
import type { Database, Session } from './database.ts';
import { statement } from './sql.ts';

/** Raw usage has a partition a UTC day, its daily sums one a month. */
export const dailyTable = 'usage_records';
const sumsTable = 'usage_daily';

/** Raw days that stand ready after today. */
export const daysKeptAhead = 3;

interface Piece {
  readonly table: string;
  readonly name: string;
  /** The first day, and the one behind the last. */
  readonly from: string;
  readonly to: string;
  /** Settings of the table. */
  readonly options: string;
}

const rawName = (day: Day): string => `${dailyTable}_${formatDay(day).replaceAll('-', '_')}`;

const rawPiece = (day: Day): Piece => ({
  table: dailyTable,
  name: rawName(day),
  from: formatDay(day),
  to: formatDay((day + 1) as Day),
  options: '',
});

const sumsPiece = (month: Month): Piece => ({
  table: sumsTable,
  name: `${sumsTable}_${monthName(month)}`,
  from: formatDay(dayOf(startOfMonth(month))),
  to: formatDay(dayOf(startOfMonth((month + 1) as Month))),
  // Room on the pages, so that sums are updated in place.
  options: ' with (fillfactor = 80)',
});

const selectNames = statement<{ name: string }, [readonly string[]]>(
  'usage_partitions',
  `select c.relname as name
     from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
    where p.relname = any($1) and p.relnamespace = current_schema()::regnamespace`,
  (tables) => [tables],
);

const lockPartitions = statement<{ lock: string }>(
  'lock_usage_partitions',
  `select pg_advisory_lock(hashtext('milliard partitions'))::text as lock`,
);

const monthsOf = (days: readonly Day[]): Month[] => [...new Set(days.map((day) => monthOf(startOfDay(day))))];

/** Makes the partitions of the sums of these days. Never within a request's transaction. @returns how many were missing */
export const ensureDailyMonths = (db: Database, days: readonly Day[]): Promise<number> =>
  ensurePieces(db, monthsOf(days).map(sumsPiece));

/** Makes the raw partitions of these days, and those of their sums. @returns how many were missing */
export const ensureRawDays = (db: Database, days: readonly Day[]): Promise<number> =>
  ensurePieces(db, [...monthsOf(days).map(sumsPiece), ...days.map(rawPiece)]);

/** Days that have a raw partition, oldest first. */
export async function listRawDays(db: Pick<Database, 'query'>): Promise<Day[]> {
  const rows = await db.query(selectNames([dailyTable]));
  return rows
    .map(({ name }) =>
      dayOf(Date.parse(`${name.slice(dailyTable.length + 1).replaceAll('_', '-')}T00:00:00Z`) as never),
    )
    .filter((day) => !Number.isNaN(day))
    .sort((a, b) => a - b);
}

/** The name of the raw partition of a day, whether or not there is one. */
export const rawPartitionOf = rawName;

/** The name of the index of a raw partition that tells which pages hold a batch. */
export const batchIndexOf = (day: Day): string => `${rawName(day)}_batch_id_idx`;

async function ensurePieces(db: Database, wanted: readonly Piece[]): Promise<number> {
  const tables = [dailyTable, sumsTable];
  const present = new Set((await db.query(selectNames(tables))).map(({ name }) => name));
  if (wanted.every(({ name }) => present.has(name))) return 0;
  return db.session(async (session) => {
    await session.run(lockPartitions());
    const names = new Set((await session.run(selectNames(tables))).map(({ name }) => name));
    const missing = wanted.filter(({ name }) => !names.has(name));
    for (const piece of missing) await make(session, piece);
    return missing.length;
  });
}

// CREATE + ATTACH instead of PARTITION OF: ATTACH takes a lock that readers and writers do not wait for. In one transaction: a
// process killed between the two leaves no table that is attached nowhere.
const make = (session: Session, { table, name, from, to, options }: Piece): Promise<void> =>
  session.script(
    `begin; create table ${name} (like ${table} including all)${options};
     alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}'); commit`,
  );
