import pg from 'pg';
import { afterAll } from 'vitest';

/** A connection as psql has one. */
export type SqlClient = pg.Client;

/** Opens connections past the product, for tests of what others do to its tables; closed when the file's tests have ended. */
export function sqlClients(url: string): { connect(setUp?: string): Promise<SqlClient> } {
  const open: pg.Client[] = [];
  afterAll(() => Promise.all(open.map((client) => client.end())));
  return {
    async connect(setUp = '') {
      const client = new pg.Client({ connectionString: url, application_name: 'milliard tests' });
      await client.connect();
      open.push(client);
      await client.query(setUp);
      return client;
    },
  };
}

/** Until so many connections wait for a lock that another one holds. */
export async function untilWaiting(look: SqlClient, count = 1): Promise<void> {
  for (;;) {
    const { rows } = await look.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    if (rows.length >= count) return;
  }
}
