import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../core/ports.ts';
import { createTestClient, openTestDatabase } from '../testing/open-database.ts';
import { openCustomerLayouts } from './customer-layouts.ts';
import { createCustomerWrites } from './customer-writes.ts';
import { openServerLease } from './server-lease.ts';
import { dynamic, sql } from './sql.ts';

const { db, url } = await openTestDatabase();
const closings: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closings) await close();
});
beforeEach(async () => {
  await db.query(dynamic(sql`delete from customer_salts`));
  await db.query(dynamic(sql`delete from server_leases`));
});

/** A process that may write orders, with a client of its own. */
async function openHolder(timing = { lifeMs: 10_000, renewMs: 20 }, refreshMs = 3_600_000) {
  const own = createTestClient(url);
  const layouts = await openCustomerLayouts(own, silentLogger, refreshMs);
  const lease = openServerLease({ db: own, layouts, application: 'test', version: '1', logger: silentLogger, timing });
  let isClosed = false;
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    await lease.close();
    layouts.close();
    await own.close();
  };
  closings.push(close);
  return { layouts, lease, writes: createCustomerWrites(layouts, lease), close };
}

const storedLeases = () =>
  db.query(
    dynamic<{ seen: bigint; live: boolean; renewed: bigint }>(sql`
      select seen_epoch as seen, expires_at > now() as live, (extract(epoch from renewed_at) * 1000)::bigint as renewed from server_leases`),
  );

const salt = (customerId: string, layout: number, ways: number) =>
  db.query(
    dynamic<{ epoch: bigint }>(sql`insert into customer_salts (customer_id, layout, ways, state, epoch)
      values (${customerId}, ${layout}, ${ways}, 'active', nextval('customer_salts_epochs')) returning epoch`),
  );

describe('a lease', () => {
  test('is taken when somebody first writes, renewed, and given back at the end', async () => {
    const holder = await openHolder();
    expect(await storedLeases()).toEqual([]);
    expect(holder.lease.isHeld()).toBe(false);
    await holder.writes.whenWritable(['C']);
    expect(holder.lease.isHeld()).toBe(true);
    const [first] = await storedLeases();
    while ((await storedLeases())[0]?.renewed === first?.renewed) await delay(5);
    await holder.close();
    expect(await storedLeases()).toEqual([]);
    expect(holder.lease.isHeld()).toBe(false);
    await expect(holder.lease.hold()).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  test('tells which epoch its process knows, and not before it knows it', async () => {
    const holder = await openHolder();
    await holder.lease.hold();
    const [row] = await salt('C', 1, 4);
    await delay(60);
    expect((await storedLeases())[0]?.seen).toBe(0n);
    await holder.layouts.refresh();
    expect(holder.layouts.layoutsOf('C')).toEqual([{ ways: 1 }, { ways: 4 }]);
    while ((await storedLeases())[0]?.seen !== row?.epoch) await delay(5);
  });

  test('that ran out stops the writes; taken again, it knows what was changed meanwhile', async () => {
    // Renewed by nobody but who writes.
    const holder = await openHolder({ lifeMs: 150, renewMs: 3_600_000 });
    await holder.lease.hold();
    holder.writes.check([{ customerId: 'C', ways: 1 }]);
    while (holder.lease.isHeld()) await delay(5);
    expect(() => holder.writes.check([{ customerId: 'C', ways: 1 }])).toThrow('lease');
    while ((await storedLeases())[0]?.live === true) await delay(5);
    await salt('C', 1, 4);
    await holder.writes.whenWritable(['C']);
    holder.writes.check([{ customerId: 'C', ways: 4 }]);
    expect(() => holder.writes.check([{ customerId: 'C', ways: 1 }])).toThrow('another layout');
  });

  test('has run out for its process before it has in the database', async () => {
    const holder = await openHolder({ lifeMs: 200, renewMs: 3_600_000 });
    await holder.lease.hold();
    for (;;) {
      const [row] = await storedLeases();
      // Asked for after the database was: if it is held now, it was live then.
      if (row?.live !== true) break;
      await delay(1);
    }
    expect(holder.lease.isHeld()).toBe(false);
  });

  test('that cannot be renewed makes a write fail as unavailable', async () => {
    const own = createTestClient(url);
    const layouts = await openCustomerLayouts(own, silentLogger, 3_600_000);
    const lease = openServerLease({ db: own, layouts, application: 'test', version: '1', logger: silentLogger });
    await own.close();
    await expect(lease.hold()).rejects.toMatchObject({ code: 'storage_unavailable' });
    await lease.close();
    layouts.close();
  });
});

describe('work that was made ready for a layout that holds no longer', () => {
  test('is made ready again', async () => {
    const { writes, layouts } = await openHolder();
    let runs = 0;
    const result = await writes.insist(['C'], async () => {
      const ways = layouts.layoutsOf('C').at(-1)?.ways ?? 0;
      if (runs++ === 0) {
        await salt('C', 1, 4);
        await layouts.refresh();
      }
      writes.check([{ customerId: 'C', ways }]);
      return ways;
    });
    expect({ result, runs }).toEqual({ result: 4, runs: 2 });
  });
});
