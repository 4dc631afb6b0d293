import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../core/ports.ts';
import { openTestDatabase } from '../testing/open-database.ts';
import { openCustomerLayouts } from './customer-layouts.ts';
import { dynamic, sql } from './sql.ts';

const { db } = await openTestDatabase();
const layouts = await openCustomerLayouts(db, silentLogger, 3_600_000);
afterAll(() => layouts.close());

const salt = async (customerId: string, layout: number, { ways = 4, state = 'active' } = {}) => {
  await db.query(
    dynamic(sql`insert into customer_salts (customer_id, layout, ways, state, epoch, drain_until)
      values (${customerId}, ${layout}, ${ways}, ${state}, nextval('customer_salts_epochs'), case ${state} when 'draining' then now() + interval '1 hour' end)
      on conflict (customer_id, layout) do update set state = excluded.state, epoch = excluded.epoch, drain_until = excluded.drain_until`),
  );
};
beforeEach(async () => {
  await db.query(dynamic(sql`delete from customer_salts`));
  await layouts.refresh();
});

describe('customer layouts', () => {
  test('are plain for everybody who was never salted', () => {
    expect(layouts.layoutsOf('C')).toEqual([{ ways: 1 }]);
  });

  test('are listed oldest first, the plain one included', async () => {
    await salt('C', 2, { ways: 8 });
    await salt('C', 1, { ways: 4 });
    await salt('D', 1, { ways: 2 });
    expect(layouts.layoutsOf('C')).toEqual([{ ways: 1 }]);
    await layouts.refresh();
    expect(layouts.layoutsOf('C')).toEqual([{ ways: 1 }, { ways: 4 }, { ways: 8 }]);
    expect(layouts.layoutsOf('D')).toEqual([{ ways: 1 }, { ways: 2 }]);
    expect(layouts.layoutsOf('E')).toEqual([{ ways: 1 }]);
  });

  test('are noticed by themselves', async () => {
    const own = await openCustomerLayouts(db, silentLogger, 5);
    await salt('C', 1);
    while (own.layoutsOf('C').length === 1) await new Promise((resolve) => setTimeout(resolve, 5));
    own.close();
  });

  test('show what was stored before a refresh was asked for, however many are asked for at once', async () => {
    for (let layout = 1; layout <= 20; layout++) {
      const before = layouts.refresh();
      await salt('C', layout, { ways: layout });
      const after = [layouts.refresh(), layouts.refresh()];
      await Promise.all([before, ...after]);
      expect(layouts.layoutsOf('C')).toHaveLength(layout + 1);
    }
  });
});

describe('a customer that is being moved', () => {
  test('waits, then goes on with the new layout; others notice nothing', async () => {
    await salt('C', 1, { state: 'draining' });
    await layouts.refresh();
    await layouts.whenWritable(['D', 'E']);
    expect(layouts.layoutsOf('C')).toEqual([{ ways: 1 }]);
    let writable = false;
    const waiting = layouts.whenWritable(['D', 'C']).then(() => {
      writable = true;
    });
    await layouts.refresh();
    expect(writable).toBe(false);
    await salt('C', 1, { state: 'active' });
    await waiting;
    expect(layouts.layoutsOf('C')).toEqual([{ ways: 1 }, { ways: 4 }]);
  });

  test('is given up after 2 s with an error that says what to do', async () => {
    await salt('C', 1, { state: 'draining' });
    await layouts.refresh();
    await expect(layouts.whenWritable(['C'])).rejects.toMatchObject({
      code: 'storage_overloaded',
      message: expect.stringContaining('Try again'),
    });
  });
});
