import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { type CustomerLayout, homeOfKey } from '../core/customer-layout.ts';
import { orderLockClass } from '../storage/server-lease.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openDataFolder } from '../testing/data-folder.ts';
import { type MilliardProcess, startMilliard } from '../testing/milliard-process.ts';
import { compareSalted, startSaltingTraffic } from '../testing/salting-traffic.ts';
import { sqlClients } from '../testing/sql-clients.ts';
import { inconsistencies } from '../testing/test-orders.ts';

const full = process.env['MILLIARD_TEST_FAULTS'] === 'full';
const hotCustomers = full ? 10 : 2;
const stops = full ? 5 : 1;
const killRounds = full ? 4 : 1;

const { db, folder, run, start, server } = await openDataFolder('salting test');
const clients = sqlClients(server.url);
const servers: MilliardProcess[] = [];
afterAll(async () => {
  for (const each of servers) await each.stop('SIGTERM');
});
for (let i = 0; i < 2; i++) {
  servers.push(await startMilliard({ args: ['dev', '--data-dir', folder, '--no-sample-data'] }));
}
const urls = servers.map(({ url }) => url);

const salt = (customerId: string, ways: number) => run('cluster', 'salt', customerId, '--ways', String(ways), '--json');

/** Until it goes through: on a busy machine somebody may hold it up, and then nothing has changed. */
async function saltAtLast(customerId: string, ways: number): Promise<{ paused_ms: number; held_up: number }> {
  for (let heldUp = 0; ; heldUp++) {
    const { exitCode, stdout, stderr } = await salt(customerId, ways);
    if (exitCode === 0) return { ...(JSON.parse(stdout) as { paused_ms: number }), held_up: heldUp };
    if (heldUp === 5 || !stderr.includes('keeps the layout')) throw new Error(stderr);
  }
}

test('a customer gets four ways and then eight under writes, and nothing is lost, doubled or refused', async () => {
  const hot = Array.from({ length: hotCustomers }, (_, i) => `hot-${i}`);
  const traffic = startSaltingTraffic({ urls, hot, writers: 6 });
  const paused: number[] = [];
  let heldUp = 0;
  await traffic.untilMore(200);
  for (const customerId of hot) {
    for (const ways of [4, 8]) {
      const { paused_ms: pausedMs, held_up: times } = await saltAtLast(customerId, ways);
      paused.push(pausedMs);
      heldUp += times;
      await traffic.untilMore(150);
    }
    // Its number decides an order's bucket, so how many orders it takes to reach all eight is chance.
    while ((await bucketsOf(customerId)).size < 8) await traffic.untilMore(20);
  }
  await traffic.stop();
  const stored = await compareSalted(db, traffic);
  console.log(
    `${hotCustomers} customers from 1 to 4 to 8 ways, ${heldUp} attempts held up, longest drain ${Math.max(...paused)} ms: ${JSON.stringify({ ...traffic.counts, ...stored })}`,
  );
  expect({ ...stored, failed: traffic.counts.failed }).toEqual({ lost: 0, doubled: 0, failed: 0 });
  expect(traffic.counts).toMatchObject({ replayed_elsewhere: 0, told_others_to_wait: 0 });
  expect(traffic.counts.replayed).toBeGreaterThan(100);
  expect(await inconsistencies(db)).toEqual([]);
  for (const customerId of hot) expect((await bucketsOf(customerId)).size).toBe(8);
  const listed = await run('cluster', 'salts', '--json');
  expect(JSON.parse(listed.stdout.split('\n')[0] ?? '')).toMatchObject({ customer_id: 'hot-0', ways: [1, 4, 8] });
});

test('a server that was stopped loses its lease; when it goes on it writes nothing under the old layout', async () => {
  const [, stopped] = servers;
  for (let round = 0; round < stops; round++) {
    const customerId = `frozen-${round}`;
    const traffic = startSaltingTraffic({ urls, hot: [customerId], writers: 12 });
    await traffic.untilMore(200 + Math.floor(Math.random() * 50));
    process.kill(stopped?.pid ?? 0, 'SIGSTOP');
    const startedMs = performance.now();
    const { held_up: heldUp } = await saltAtLast(customerId, 4);
    const saltedMs = Math.round(performance.now() - startedMs);
    const before = new Set((await ordersOf(customerId)).map(({ id }) => id));
    process.kill(stopped?.pid ?? 0, 'SIGCONT');
    await traffic.untilMore(200);
    await traffic.stop();
    const later = (await ordersOf(customerId)).filter(({ id }) => !before.has(id));
    const layout: CustomerLayout = { ways: 4 };
    const misplaced = later.filter(({ number, bucket }) => bucket !== homeOfKey(customerId, number, layout)).length;
    const stored = await compareSalted(db, traffic);
    console.log(
      `a server stopped in mid-flight, salted after ${saltedMs} ms (${heldUp} attempts held up): ${JSON.stringify({ ...traffic.counts, ...stored, later: later.length, misplaced })}`,
    );
    expect({ ...stored, misplaced, failed: traffic.counts.failed }).toEqual({
      lost: 0,
      doubled: 0,
      misplaced: 0,
      failed: 0,
    });
    expect(traffic.counts.replayed_elsewhere).toBe(0);
    expect(later.length).toBeGreaterThan(20);
  }
  expect(await inconsistencies(db)).toEqual([]);
});

const ordersOf = (customerId: string) =>
  db.query(
    dynamic<{ id: string; number: string; bucket: number }>(
      sql`select order_id as id, order_number as number, bucket from orders where customer_id = ${customerId}`,
    ),
  );

const bucketsOf = async (customerId: string) => new Set((await ordersOf(customerId)).map(({ bucket }) => bucket));

/** A process that may write orders, as the others see it: what it holds makes `salt` wait at the step that is wanted. */
async function hold(step: KilledStep): Promise<{ onStep(name: string): Promise<void>; release(): Promise<void> }> {
  const [client, table] = [await clients.connect(), await clients.connect()];
  const isSeeing = step === 'waiting for transactions' || step === 'activating';
  const isMoving = step !== 'preparing';
  await client.query(
    `insert into server_leases (server_id, lock_number, application, version, host, pid, started_at, renewed_at, expires_at, seen_epoch)
     values ('00000000-0000-0000-0000-000000000001', 77, 'held', '0', 'here', 1, now(), now(), now() + interval '1 hour', $1)`,
    [isSeeing ? 1_000_000_000 : 0],
  );
  if (isSeeing) await client.query(`begin; select pg_advisory_xact_lock_shared(${orderLockClass}, 77)`);
  const moving = setInterval(() => {
    if (isMoving)
      void db
        .query(dynamic(sql`update server_leases set renewed_at = clock_timestamp() where lock_number = 77`))
        .catch(() => {});
  }, 50);
  return {
    async onStep(name) {
      // Before the next change of the table, so that `salt` waits with it.
      const isBefore =
        `${step} ${name}` === 'draining preparing' || `${step} ${name}` === 'activating waiting for transactions';
      if (!isBefore) return;
      await table.query('begin; lock table customer_salts in share mode');
      await client.query('rollback');
    },
    async release() {
      clearInterval(moving);
      await Promise.all([client.query('rollback'), table.query('rollback')]);
      await db.query(dynamic(sql`delete from server_leases where lock_number = 77`));
    },
  };
}

const killedSteps = ['preparing', 'draining', 'waiting for servers', 'waiting for transactions', 'activating'] as const;
type KilledStep = (typeof killedSteps)[number];

async function killedAt(step: KilledStep, customerId: string, ways: number): Promise<void> {
  const held = await hold(step);
  const command = start('cluster', 'salt', customerId, '--ways', String(ways));
  const told = new Set<string>();
  while (!told.has(step)) {
    if (!command.isRunning()) throw new Error(`salt ended before '${step}': ${command.output()}`);
    for (const line of command.texts.stderr.split('\n')) {
      if (told.has(line)) continue;
      told.add(line);
      await held.onStep(line);
    }
    await delay(2);
  }
  // Into whatever it does there.
  await delay(Math.random() * 100);
  command.child.kill('SIGKILL');
  await command.ended;
  await held.release();
}

test('salt killed at any of its steps blocks the customer for two seconds at most, and the next one goes through', async () => {
  const traffic = startSaltingTraffic({ urls, hot: ['killed'], writers: 6 });
  await traffic.untilMore(100);
  let ways = 1;
  const outcomes: Record<string, string> = {};
  for (let round = 0; round < killRounds; round++) {
    for (const step of killedSteps) {
      await killedAt(step, 'killed', ways + 1);
      await traffic.untilMore(100);
      const rows = await untilSettled();
      const now = rows.filter(({ state }) => state === 'active').at(-1)?.ways ?? 1;
      outcomes[`${round} ${step}`] = now > ways ? 'active' : 'taken back';
      expect(now === ways || now === ways + 1).toBe(true);
      ways = Math.max(now, ways) + 1;
      await saltAtLast('killed', ways);
      await traffic.untilMore(50);
    }
  }
  await traffic.stop();
  const stored = await compareSalted(db, traffic);
  console.log(
    `${killRounds * killedSteps.length} kills of salt, ${ways} ways at the end: ${JSON.stringify({ ...traffic.counts, ...stored })}; ${JSON.stringify(outcomes)}`,
  );
  expect({ ...stored, failed: traffic.counts.failed }).toEqual({ lost: 0, doubled: 0, failed: 0 });
  expect(traffic.counts).toMatchObject({ replayed_elsewhere: 0, told_others_to_wait: 0 });
  expect(await inconsistencies(db)).toEqual([]);
});

/** Nothing drains any more. */
async function untilSettled(): Promise<{ ways: number; state: string }[]> {
  for (;;) {
    const rows = await db.query(
      dynamic<{ ways: number; state: string }>(
        sql`select ways, state from customer_salts where customer_id = 'killed' order by layout`,
      ),
    );
    if (!rows.some(({ state }) => state === 'draining')) return rows;
    await delay(20);
  }
}
