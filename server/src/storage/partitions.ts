import { lowestIdAt } from '../core/ids.ts';
import { type Instant, type Month, monthName, monthOf, parseMonthName, startOfMonth } from '../core/time.ts';
import type { Database, Session } from './database.ts';
import { dynamic, sql, statement } from './sql.ts';
import type { Transaction } from './transaction.ts';

/** Tables with one partition a month, by order id. */
export const monthlyTables = ['orders', 'order_statuses'] as const;

const monthsKeptBack = 24;
const monthsKeptAhead = 3;

/** The oldest month an import may make: UUID version 7 begins in 1970, order systems with data worth keeping later. */
export const oldestMonth = (1995 * 12) as Month;

/** The months that stand ready at `now`: 24 back, 3 ahead, the current one between. */
export function readyMonths(now: Instant): Month[] {
  const current = monthOf(now);
  return Array.from(
    { length: monthsKeptBack + 1 + monthsKeptAhead },
    (_, i) => (current - monthsKeptBack + i) as Month,
  );
}

const selectPartitions = statement<{ parent: string; name: string }, [readonly string[]]>(
  'partitions',
  `select p.relname as parent, c.relname as name
     from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
    where p.relname = any($1) and p.relnamespace = current_schema()::regnamespace`,
  (tables) => [tables],
);

/** Months that every monthly table has, oldest first. */
export async function listMonths(db: Pick<Database, 'query'>): Promise<Month[]> {
  return monthsOfAll(await db.query(selectPartitions(monthlyTables)));
}

function monthsOfAll(rows: readonly { parent: string; name: string }[]): Month[] {
  const counts = new Map<Month, number>();
  for (const { parent, name } of rows) {
    const month = parseMonthName(name.slice(parent.length + 1));
    if (month !== null) counts.set(month, (counts.get(month) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count === monthlyTables.length)
    .map(([month]) => month)
    .sort((a, b) => a - b);
}

// CREATE + ATTACH instead of PARTITION OF: ATTACH takes a lock that readers and writers do not wait for.
const createPartition = (table: string, name: string) => `create table ${name} (like ${table} including all)`;
const attachPartition = (table: string, name: string, month: Month) =>
  `alter table ${table} attach partition ${name} for values from ('${lowestIdAt(startOfMonth(month))}') to ('${lowestIdAt(startOfMonth((month + 1) as Month))}')`;

/**
 * Makes the months that are missing, in every monthly table. Uses a session of its own, never a request's transaction.
 * Safe to run by several processes at once.
 * @returns the months that were made now
 */
export async function ensureMonths(db: Database, months: readonly Month[]): Promise<Month[]> {
  const present = new Set(await listMonths(db));
  const missing = [...new Set(months)].filter((month) => !present.has(month)).sort((a, b) => a - b);
  if (missing.length === 0) return [];
  return db.session(async (session) => {
    await session.run(dynamic(sql`select pg_advisory_lock(hashtext('milliard partitions'))`));
    const attached = await session.run(selectPartitions(monthlyTables));
    const names = new Set(attached.map(({ name }) => name));
    const made = new Set<Month>();
    for (const month of missing) {
      for (const table of monthlyTables) if (await makePartition(session, { table, month, names })) made.add(month);
    }
    return [...made];
  });
}

/** The same in a transaction that is going to be rolled back. */
export async function ensureMonthsIn(tx: Transaction, months: readonly Month[]): Promise<void> {
  const names = new Set((await tx.run(selectPartitions(monthlyTables))).map(({ name }) => name));
  for (const month of months) {
    for (const table of monthlyTables) {
      const name = `${table}_${monthName(month)}`;
      if (names.has(name)) continue;
      await tx.run({ text: createPartition(table, name), values: [] });
      await tx.run({ text: attachPartition(table, name, month), values: [] });
    }
  }
}

interface Wanted {
  readonly table: string;
  readonly month: Month;
  readonly names: ReadonlySet<string>;
}

/** @returns false when somebody else had made it */
async function makePartition(session: Session, { table, month, names }: Wanted): Promise<boolean> {
  const name = `${table}_${monthName(month)}`;
  if (names.has(name)) return false;
  // In one transaction, statement by statement: a process killed between the two steps leaves no table that is attached nowhere.
  await session.script(`begin; ${createPartition(table, name)}; ${attachPartition(table, name, month)}; commit`);
  return true;
}
