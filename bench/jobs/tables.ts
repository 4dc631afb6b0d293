import type { Database } from '../../server/src/storage/database.ts';
import { dynamic, sql } from '../../server/src/storage/sql.ts';

/** The table of the brief, where a rotation rewrites the column in place. Names are constants of the bench. */
export const plainTable = 'bench.tickets';

/**
 * Makes the table anew with so many rows: a primary key and a unique index on the token, the fewest that such a table has. Fresh
 * each time, for an update of every row leaves it twice as large.
 */
export async function makePlainTable(db: Database, rows: number): Promise<void> {
  await db.session((session) =>
    session.script(`
      create schema if not exists bench;
      drop table if exists ${plainTable};
      create table ${plainTable} (id uuid not null, holder text not null, event text not null, created_at timestamptz not null, token uuid not null);
      insert into ${plainTable} select gen_random_uuid(), 'holder-' || n % 100000, 'event-' || n % 500, now(), gen_random_uuid() from generate_series(1, ${rows}) n;
      alter table ${plainTable} add primary key (id);
      create unique index on ${plainTable} (token);`),
  );
  await db.session((session) => session.script(`vacuum analyze ${plainTable}`));
  // Whoever is measured next pays for its own writes only.
  await db.session((session) => session.script('checkpoint'));
}

/** Seconds of the one statement that everything is compared with. */
export async function updateInOneStatement(db: Database): Promise<number> {
  const startedMs = performance.now();
  await db.query(dynamic(sql`update ${sql.raw(plainTable)} set token = gen_random_uuid()`));
  return (performance.now() - startedMs) / 1_000;
}
