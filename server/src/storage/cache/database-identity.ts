import type { Database } from '../database.ts';
import { StorageError } from '../faults.ts';
import { statement } from '../sql.ts';

const systemAndDatabase = statement<{ identity: string }>(
  'database_identity',
  `select s.system_identifier || '-' || d.oid as identity from pg_control_system() s, pg_database d where d.datname = current_database()`,
);
const databaseOnly = statement<{ identity: string }>(
  'database_identity_without_system',
  `select d.datname || '-' || d.oid as identity from pg_database d where d.datname = current_database()`,
);

/** A text that stands for this database and no other, the same for every server that uses it, whatever node of a cluster it is on. */
export const databaseIdentity = (db: Pick<Database, 'session'>): Promise<string> =>
  db.session(async ({ run }) => {
    const rows = await run(systemAndDatabase()).catch((error: unknown) => {
      // A server may keep the number of its system from ordinary users.
      if (error instanceof StorageError && error.fault?.kind === 'permission') return run(databaseOnly());
      throw error;
    });
    return rows[0]?.identity ?? 'unknown';
  });
