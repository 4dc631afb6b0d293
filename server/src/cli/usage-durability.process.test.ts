import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Database } from '../storage/database.ts';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { crashDatabase } from '../testing/data-folder.ts';
import { faultsInAnyOrder } from '../testing/faults.ts';
import { type MilliardProcess, runMilliard, startMilliard } from '../testing/milliard-process.ts';
import { outcomeOf } from '../testing/open-batches.ts';
import { createTestClient } from '../testing/open-database.ts';
import { compareUsage, startUsageTraffic, type UsageTraffic } from '../testing/usage-traffic.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const serverKills = full ? 20 : 3;
const databaseStops = full ? 6 : 2;
/** Kills that must hit a rollup in the middle of its transaction. */
const rollupKills = full ? 12 : 2;
const bulkLines = full ? 50_000 : 22_000;
/** Requests acknowledged between two faults, at least and at most. */
const betweenFaults = full ? ([10, 100] as const) : ([10, 60] as const);

async function untilMore(traffic: UsageTraffic): Promise<void> {
  const [least, most] = betweenFaults;
  const goal = traffic.count() + least + Math.floor(Math.random() * (most - least));
  while (traffic.count() < goal) await delay(2);
}

/** Waits until a rollup adds to the sums at this moment, asking without a pause. @returns its transaction */
async function untilRollingUp(db: Database): Promise<string> {
  for (;;) {
    const [row] = await db.query(
      dynamic<{ xid: string }>(sql`
        select backend_xid::text as xid from pg_stat_activity
         where datname = current_database() and state = 'active' and backend_xid is not null
           and query like 'with sums as materialized%'`),
    );
    if (row !== undefined) return row.xid;
  }
}

async function openBatches(db: Database): Promise<number> {
  const [row] = await db.query(
    dynamic<{ n: bigint }>(sql`select count(*) as n from usage_batches where rolled_up_at is null`),
  );
  return Number(row?.n);
}

test('usage that was acknowledged counts once, though the server, its rollup and PostgreSQL are stopped at random', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-usage-durability-'));
  const start = () =>
    startMilliard({
      args: ['dev', '--data-dir', dataDir, '--no-sample-data'],
      env: { MILLIARD_USAGE_ROLLUP_MS: '100' },
    });
  // This process holds the folder too, so that the database outlives the servers that are killed.
  const embedded = await acquireEmbedded({ dataDir, purpose: 'usage durability test' });
  let server: MilliardProcess = await start();
  let db = createTestClient(embedded.url, { statementTimeoutMs: 0 });
  const traffic = startUsageTraffic({ url: () => server.url, bulkLines });
  const kill = async (): Promise<void> => {
    await server.stop('SIGKILL');
    server = await start();
  };
  let rollupsUndone = 0;
  try {
    for (const fault of faultsInAnyOrder(serverKills, databaseStops)) {
      await untilMore(traffic);
      if (fault === 'process') await kill();
      else {
        await db.close();
        await crashDatabase(dataDir, embedded);
        db = createTestClient(embedded.url, { statementTimeoutMs: 0 });
      }
    }
    // Where the rollup was quicker than the kill, there is one more.
    let triedRollupKills = 0;
    for (; rollupsUndone < rollupKills && triedRollupKills < 5 * rollupKills; triedRollupKills++) {
      const xid = await untilRollingUp(db);
      await kill();
      if ((await outcomeOf(db, xid)) === 'aborted') rollupsUndone++;
      await untilMore(traffic);
    }
    await traffic.stop();
    while ((await openBatches(db)) > 0) await delay(50);
    const { accepted, ...counts } = traffic.counts;
    const compared = await compareUsage(db, traffic);
    console.log(
      `${serverKills} kills of the server, ${triedRollupKills} more during a rollup (${rollupsUndone} undone), ${databaseStops} immediate stops of PostgreSQL: ${JSON.stringify({ ...compared, accepted, ...counts })}`,
    );
    expect(compared).toEqual({
      sent: traffic.records(),
      lost: 0,
      doubled: 0,
      wrongRawSums: 0,
      wrongDays: 0,
      wrongTotals: 0,
    });
    // What the answers say, replayed ones too, is what is stored.
    expect(accepted).toBe(traffic.records());
    expect(rollupsUndone).toBeGreaterThanOrEqual(rollupKills);
    expect(counts.bulks).toBeGreaterThan(0);
    const verified = await runMilliard({ args: ['verify', 'usage', '--data-dir', dataDir] });
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
  } finally {
    await db.close();
    await server.stop('SIGTERM');
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});
