import pg from 'pg';
import { type Day, dayOf, daysBetween } from '../../server/src/core/days.ts';
import { systemClock } from '../../server/src/core/time.ts';
import { ensureRawDays } from '../../server/src/storage/day-partitions.ts';
import { migrate } from '../../server/src/storage/migrator.ts';
import { openDatabase } from '../harness/database.ts';

/** One connection, closed afterwards. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Another database of the same server, migrated, with partitions of two weeks. @returns its address */
export async function makeDatabase(url: string, name: string): Promise<string> {
  await withClient(url, (client) => client.query(`create database ${name}`));
  const address = url.replace(/\/[^/?]*\?/, `/${name}?`);
  await migrate({ url: address });
  const db = openDatabase(address);
  const today = dayOf(systemClock.now());
  await ensureRawDays(db, daysBetween((today - 14) as Day, (today + 1) as Day));
  await db.close();
  return address;
}

/** Bytes of WAL so far. */
export async function walBytes(url: string): Promise<number> {
  const { rows } = await withClient(url, (client) =>
    client.query<{ bytes: string }>(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as bytes`),
  );
  return Number(rows[0]?.bytes);
}

/** Age of the oldest batch that is not rolled up, in seconds; 0 = there is none. */
export async function lagSeconds(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ lag: number }>(
    `select coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as lag
       from usage_batches where rolled_up_at is null`,
  );
  return rows[0]?.lag ?? 0;
}

export async function untilRolledUp(url: string): Promise<void> {
  await withClient(url, async (client) => {
    while ((await lagSeconds(client)) > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  });
}
