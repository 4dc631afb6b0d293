import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createDatabase } from '../storage/database.ts';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { crashDatabase } from '../testing/data-folder.ts';
import { faultsInAnyOrder } from '../testing/faults.ts';
import { type MilliardProcess, startMilliard } from '../testing/milliard-process.ts';
import { compareWithStored, startTraffic, type Traffic } from '../testing/order-traffic.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const serverKills = full ? 20 : 5;
const databaseStops = full ? 5 : 2;
/** Writes acknowledged between two faults, at least and at most. */
const betweenFaults = [60, 240] as const;

async function untilMore(traffic: Traffic): Promise<void> {
  const [least, most] = betweenFaults;
  const goal = traffic.count() + least + Math.floor(Math.random() * (most - least));
  while (traffic.count() < goal) await delay(2);
}

test('what was acknowledged is stored once, though the server is killed and PostgreSQL stopped at random', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-durability-'));
  const start = () => startMilliard({ args: ['dev', '--data-dir', dataDir, '--no-sample-data'] });
  // This process holds the folder too, so that the database outlives the servers that are killed.
  const embedded = await acquireEmbedded({ dataDir, purpose: 'durability test' });
  let server: MilliardProcess = await start();
  const traffic = startTraffic(() => server.url);
  try {
    for (const fault of faultsInAnyOrder(serverKills, databaseStops)) {
      await untilMore(traffic);
      if (fault === 'process') {
        await server.stop('SIGKILL');
        server = await start();
      } else {
        await crashDatabase(dataDir, embedded);
      }
    }
    await untilMore(traffic);
    await traffic.stop();
    const db = createDatabase({
      url: embedded.url,
      applicationName: 'durability test',
      poolSize: 2,
      readClients: 1,
      statementTimeoutMs: 0,
      connectTimeoutMs: 5_000,
    });
    const counts = await compareWithStored(db, traffic);
    await db.close();
    console.log(
      `${serverKills} kills of the server, ${databaseStops} immediate stops of PostgreSQL: ${JSON.stringify(counts)}`,
    );
    expect(counts).toEqual({ acknowledged: traffic.acknowledged.size, lost: 0, doubled: 0, wrongHistory: 0 });
    expect(traffic.acknowledged.size).toBeGreaterThan(serverKills * betweenFaults[0] * 0.5);
  } finally {
    await server.stop('SIGTERM');
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});
