import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { maxWays } from '../../core/customer-layout.ts';
import { silentLogger } from '../../core/ports.ts';
import { createTestClient, openTestDatabase } from '../../testing/open-database.ts';
import { openCustomerLayouts } from '../customer-layouts.ts';
import { createCustomerWrites } from '../customer-writes.ts';
import { openServerLease } from '../server-lease.ts';
import { dynamic, sql } from '../sql.ts';
import { recogniseServer } from '../topology.ts';
import type { SaltOutcome, SaltRequest } from './salting.ts';
import { createSalting } from './salting-service.ts';

const { db, url } = await openTestDatabase();
const { topology } = await recogniseServer(db);
const salting = createSalting({ db, isCitus: topology === 'citus' });
const closings: (() => Promise<void>)[] = [];

const request = (customerId: string, ways: number, more: Partial<SaltRequest> = {}): SaltRequest => ({
  customerId,
  ways,
  actor: 'test',
  signal: new AbortController().signal,
  onStep: () => {},
  onWaiting: () => {},
  ...more,
});

/** A process that may write orders. `renewMs` may be so long that it never moves again. */
async function openHolder({ renewMs = 50, refreshMs = 20, lifeMs = 10_000 } = {}) {
  const own = createTestClient(url);
  const layouts = await openCustomerLayouts(own, silentLogger, refreshMs);
  const timing = { lifeMs, renewMs };
  const lease = openServerLease({ db: own, layouts, application: 'shop', version: '1', logger: silentLogger, timing });
  await lease.hold();
  const close = async () => {
    await lease.close();
    layouts.close();
    await own.close();
  };
  closings.push(close);
  return { db: own, layouts, lease, writes: createCustomerWrites(layouts, lease) };
}

const closeAll = async () => {
  for (const close of closings.splice(0)) await close();
};
afterAll(closeAll);
beforeEach(async () => {
  await closeAll();
  await db.query(dynamic(sql`delete from customer_salts`));
  await db.query(dynamic(sql`delete from server_leases`));
});

const stored = () =>
  db.query(dynamic<{ ways: number; state: string }>(sql`select ways, state from customer_salts order by layout`));

describe('salting', () => {
  test('gives a customer more ways, step by step, and every process knows them before it writes again', async () => {
    const holders = [await openHolder(), await openHolder()];
    for (const ways of [4, 8]) {
      const outcome = await salting.salt(request('C', ways));
      expect(outcome).toMatchObject({ kind: 'salted', ways, servers: 2 });
      expect(outcome.pausedMs).toBeLessThan(2_000);
      for (const { writes, layouts } of holders) {
        await writes.whenWritable(['C']);
        expect(layouts.layoutsOf('C').at(-1)).toEqual({ ways });
      }
    }
    expect(await salting.list()).toMatchObject([{ customerId: 'C', ways: [1, 4, 8], state: 'active' }]);
    const audit = dynamic(sql`select facts from audit_log where action = 'customer.salt' and subject = 'C'`);
    expect(await db.query(audit)).toMatchObject([{ facts: { ways: 4 } }, { facts: { ways: 8 } }]);
  });

  test('is refused for fewer ways and for too many, and does nothing for as many', async () => {
    await salting.salt(request('C', 4));
    await expect(salting.salt(request('C', 2))).rejects.toMatchObject({ code: 'salt_refused' });
    await expect(salting.plan('C', maxWays + 1)).rejects.toMatchObject({ code: 'salt_refused' });
    expect(await salting.salt(request('C', 4))).toMatchObject({ kind: 'nothing' });
    expect(await stored()).toEqual([{ ways: 4, state: 'active' }]);
  });

  test('can be looked at before', async () => {
    await openHolder();
    const plan = await salting.plan('C', 4);
    expect(plan).toMatchObject({ waysBefore: 1, ways: 4, holders: [{ application: 'shop' }] });
    expect(plan.buckets).toHaveLength(4);
    expect(await stored()).toEqual([]);
  });

  test('goes on for one at a time', async () => {
    const holder = await openHolder({ renewMs: 3_600_000 });
    let first: Promise<SaltOutcome> | null = null;
    await new Promise<void>((resolve) => {
      first = salting.salt(request('C', 4, { onStep: () => resolve() }));
    });
    await expect(salting.salt(request('D', 4))).rejects.toMatchObject({ code: 'salt_running' });
    await holder.lease.close();
    expect(await first).toMatchObject({ kind: 'salted' });
  });
});

describe('a process that does not move', () => {
  test('is waited for until its lease has run out, while the customer may be written', async () => {
    const healthy = await openHolder();
    const hung = await openHolder({ renewMs: 3_600_000, lifeMs: 1_500 });
    const steps: string[] = [];
    const salted = salting.salt(request('C', 4, { onStep: (step) => steps.push(step) }));
    while (hung.lease.isHeld()) {
      expect(steps.filter((step) => step !== 'preparing')).toEqual([]);
      await healthy.writes.whenWritable(['C']);
      await delay(10);
    }
    expect(await salted).toMatchObject({ kind: 'salted', servers: 1 });
    expect(() => hung.writes.check([{ customerId: 'C', ways: 1 }])).toThrow('Try again');
  });

  test('makes the customer keep its layout when it stops in the middle; the command names it', async () => {
    // It renews its lease and never looks for changes.
    const blind = await openHolder({ refreshMs: 3_600_000 });
    await expect(salting.salt(request('C', 4))).rejects.toMatchObject({
      code: 'salt_held_up',
      message: expect.stringContaining('shop 1 on'),
    });
    expect(await stored()).toEqual([]);
    blind.writes.check([{ customerId: 'C', ways: 1 }]);
    await blind.lease.close();
    expect(await salting.salt(request('C', 4))).toMatchObject({ kind: 'salted' });
  });

  test('has what it left open ended once its lease has run out', async () => {
    const hung = await openHolder({ renewMs: 3_600_000, lifeMs: 1_000 });
    const releases: (() => void)[] = [];
    const open = hung.db.transaction(
      async (tx) => {
        await new Promise<void>((resolve) => releases.push(resolve));
        await tx.run(dynamic(sql`select 1`));
      },
      { sharedLock: hung.lease.lock },
    );
    const ended = expect(open).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(await salting.salt(request('C', 4))).toMatchObject({ kind: 'salted', servers: 0 });
    releases[0]?.();
    // It is run once more on a new connection, and waits there.
    while (releases.length < 2) await delay(5);
    await salting.salt(request('C', 8));
    releases[1]?.();
    await ended;
  });
});

describe('a transaction that writes orders', () => {
  test('is waited for when it was open before all knew, and not when it began later', async () => {
    const holder = await openHolder();
    const ended: string[] = [];
    const opened = (name: string) => {
      let release = () => {};
      const until = new Promise<void>((resolve) => (release = resolve));
      const begun = new Promise<void>((resolve) => {
        void holder.db
          .transaction(
            async (tx) => {
              await tx.run(dynamic(sql`select 1`));
              resolve();
              await until;
            },
            { sharedLock: holder.lease.lock },
          )
          .then(() => ended.push(name));
      });
      return { begun, release: () => release() };
    };
    const early = opened('early');
    await early.begun;
    let late: ReturnType<typeof opened> | null = null;
    const onStep = (step: string) => {
      if (step !== 'waiting for transactions') return;
      setTimeout(() => {
        late = opened('late');
        void late.begun.then(early.release);
      }, 200);
    };
    expect(await salting.salt(request('C', 4, { onStep }))).toMatchObject({ kind: 'salted' });
    expect(ended).toEqual(['early']);
    (late as ReturnType<typeof opened> | null)?.release();
  });

  test('that stays open makes the customer keep its layout', async () => {
    const holder = await openHolder();
    await holder.db.transaction(
      async (tx) => {
        await tx.run(dynamic(sql`select 1`));
        await expect(salting.salt(request('C', 4))).rejects.toMatchObject({
          code: 'salt_held_up',
          message: expect.stringMatching(/a transaction of shop on .* open for \d/),
        });
      },
      { sharedLock: holder.lease.lock },
    );
    expect(await stored()).toEqual([]);
    await holder.writes.whenWritable(['C']);
  });
});

describe('a layout that a process which died left behind', () => {
  const leaveBehind = (drainMs: number) =>
    db.query(
      dynamic(sql`insert into customer_salts (customer_id, layout, ways, state, epoch, drain_until)
        values ('C', 1, 4, 'draining', nextval('customer_salts_epochs'), now() + ${drainMs} * interval '1 millisecond')`),
    );

  test('is taken away by whoever wants to write, when its time is over', async () => {
    const holder = await openHolder();
    await leaveBehind(500);
    while (!holder.layouts.isDraining('C')) await delay(5);
    await holder.writes.whenWritable(['C']);
    expect(await stored()).toEqual([]);
    holder.writes.check([{ customerId: 'C', ways: 1 }]);
  });

  test('is taken away by the next salt', async () => {
    await leaveBehind(3_600_000);
    expect(await salting.salt(request('C', 2))).toMatchObject({ kind: 'salted', waysBefore: 1 });
    expect(await stored()).toEqual([{ ways: 2, state: 'active' }]);
  });

  test('is read before it is written, so that nobody misses what another has written', async () => {
    const holder = await openHolder();
    await leaveBehind(3_600_000);
    while (!holder.layouts.isDraining('C')) await delay(5);
    expect(holder.layouts.layoutsOf('C')).toEqual([{ ways: 1 }]);
    expect(holder.layouts.readableLayoutsOf('C')).toEqual([{ ways: 1 }, { ways: 4 }]);
  });
});
