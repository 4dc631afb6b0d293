import type { Database } from '../storage/database.ts';
import { migrationText } from '../storage/migrator.ts';
import { dynamic, sql } from '../storage/sql.ts';

const selectReady = dynamic<{ ready: boolean }>(
  sql`select to_regclass('milliard_jobs.job_row_errors') is not null as ready`,
);

/** Whether the tables of the engine are in this database. */
export const hasJobTables = async (db: Database): Promise<boolean> => (await db.query(selectReady))[0]?.ready === true;

/**
 * Makes the tables of the engine in a database that Milliard does not migrate; does nothing where they are. Safe to run by
 * several processes at once. @throws StorageError, `permission` when this user may not create a schema
 */
export async function ensureJobTables(db: Database): Promise<void> {
  await db.session(async (session) => {
    const [found] = await session.run(selectReady);
    if (found?.ready === true) return;
    await session.script(
      `begin; select pg_advisory_xact_lock(hashtext('milliard job tables')); ${migrationText('0003_jobs')}; commit`,
    );
  });
}
