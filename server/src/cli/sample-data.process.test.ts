import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { migrate } from '../storage/migrator.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { runMilliard, spawnMilliard, startMilliard } from '../testing/milliard-process.ts';
import { createTestClient } from '../testing/open-database.ts';

const wholeSample = 2_215;

// Each part of the sample waits a little, so that the kill falls between two of them on every machine.
const slowDown = `
  create function wait_a_little() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return null; end $$;
  create trigger wait_a_little before insert on order_keys execute function wait_a_little()`;
const speedUp = 'drop trigger wait_a_little on order_keys; drop function wait_a_little()';

const wholeShipments = 205;
// The transaction of the shipments stands still behind their rows, before those of their articles.
const stopBehindShipments = `
  create function wait_long() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$;
  create trigger wait_long before insert on shipment_articles execute function wait_long()`;
const noStop = 'drop function wait_long() cascade';
const standsStill = dynamic(
  sql<{ pid: number }>`select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`,
);
const endBackend = (pid: number) => dynamic(sql`select pg_terminate_backend(${pid})`);

test('a first start that was killed while it loaded the sample data is finished by the next one', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-sample-'));
  const args = ['dev', '--data-dir', dataDir];
  // This process holds the folder too: it looks into the database while nobody serves.
  const embedded = await acquireEmbedded({ dataDir, purpose: 'sample data test' });
  const db = createTestClient(embedded.url);
  try {
    await migrate({ url: embedded.url });
    const count = dynamic(sql<{ n: number }>`select count(*)::int as n from orders`);
    const orders = async () => (await db.query(count))[0]?.n ?? 0;
    const script = (text: string) => db.session((session) => session.script(text));
    await script(slowDown);
    const killed = spawnMilliard({ args: [...args, '--port', '0'] });
    while ((await orders()) === 0) await delay(5);
    killed.child.kill('SIGKILL');
    await killed.ended;
    await script(speedUp);
    const before = await orders();
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(wholeSample);

    const next = await startMilliard({ args });
    expect(await orders()).toBe(wholeSample);
    expect(next.output()).toContain('the sample data was not loaded to its end: going on with it');
    expect(next.output()).toContain(`loaded the other ${(wholeSample - before).toLocaleString('en')} sample orders`);
    await next.stop('SIGTERM');
    const { stdout } = await runMilliard({ args: ['verify', 'orders', '--json', '--data-dir', dataDir] });
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ differences: 0 });

    const third = await startMilliard({ args });
    expect(third.output()).not.toContain('sample');
    await third.stop('SIGTERM');
  } finally {
    await db.close();
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});

test('a first start that was killed among the sample shipments leaves none, and the next one loads them all', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-sample-'));
  const args = ['dev', '--data-dir', dataDir];
  const embedded = await acquireEmbedded({ dataDir, purpose: 'sample data test' });
  const db = createTestClient(embedded.url);
  try {
    await migrate({ url: embedded.url });
    const count = dynamic(sql<{ n: number }>`select count(*)::int as n from shipments`);
    const shipments = async () => (await db.query(count))[0]?.n;
    const script = (text: string) => db.session((session) => session.script(text));
    await script(stopBehindShipments);
    const killed = spawnMilliard({ args: [...args, '--port', '0'] });
    let pid: number | undefined;
    while (pid === undefined) {
      pid = (await db.query(standsStill))[0]?.pid;
      await delay(5);
    }
    killed.child.kill('SIGKILL');
    await killed.ended;
    await db.query(endBackend(pid));
    while ((await db.query(standsStill)).length > 0) await delay(5);
    await script(noStop);
    expect(await shipments()).toBe(0);

    const next = await startMilliard({ args });
    expect(next.output()).toContain(`loaded ${wholeShipments} sample shipments`);
    expect(await shipments()).toBe(wholeShipments);
    await next.stop('SIGTERM');
    const { stdout } = await runMilliard({ args: ['verify', 'shipments', '--json', '--data-dir', dataDir] });
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ differences: 0 });
  } finally {
    await db.close();
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
});
