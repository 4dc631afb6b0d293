import { afterAll } from 'vitest';
import type { Currency } from '../core/money.ts';
import { silentLogger } from '../core/ports.ts';
import type { Instant } from '../core/time.ts';
import { itemsOf, type NewOrder, type Order } from '../domains/orders/order.ts';
import type { ImportedStatus } from '../domains/orders/order-status.ts';
import { createOrderWriter, type OrderToWrite, type OrderWriter } from '../domains/orders/order-write-service.ts';
import { createOrders, type Orders } from '../domains/orders/orders-service.ts';
import { type CustomerLayouts, openCustomerLayouts } from '../storage/customer-layouts.ts';
import { createCustomerWrites } from '../storage/customer-writes.ts';
import type { Database } from '../storage/database.ts';
import { ensureMonths, listMonths, readyMonths } from '../storage/partitions.ts';
import { openServerLease } from '../storage/server-lease.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { onCitus } from './on-citus.ts';
import { openTestDatabase } from './open-database.ts';
import { createTestClock, type TestClock, testNow } from './test-clock.ts';

export interface TestOrders {
  readonly db: Database;
  readonly url: string;
  readonly clock: TestClock;
  readonly layouts: CustomerLayouts;
  readonly orders: Orders;
  /** A writer of its own on another client of the same database. */
  writerOn(db: Database): OrderWriter;
  /** The domain once more on another client of the same database. */
  ordersOn(db: Database): Orders;
  /** Spreads a customer over so many ways from now on. */
  salt(customerId: string, ways: number, state?: 'active' | 'draining'): Promise<void>;
}

/** A database with its months, a clock that stands still, and the orders domain on it. */
export async function openTestOrders(): Promise<TestOrders> {
  const { db, url } = await openTestDatabase();
  const clock = createTestClock();
  await ensureMonths(db, readyMonths(testNow));
  const months = await listMonths(db);
  const layouts = await openCustomerLayouts(db, silentLogger, 3_600_000);
  const defaultCurrency = 'EUR' as Currency;
  const holder = { application: 'test', version: '0' };
  const lease = openServerLease({ db, layouts, ...holder, logger: silentLogger });
  const writes = createCustomerWrites(layouts, lease);
  const made: Orders[] = [];
  const ordersOn = (other: Database): Orders => {
    const common = { layouts, writes, clock, defaultCurrency, months: () => months, groupCommit: true };
    const one = createOrders({ db: other, ...common });
    made.push(one);
    return one;
  };
  const orders = ordersOn(db);
  afterAll(async () => {
    await Promise.all(made.map((one) => one.drain()));
    await lease.close();
    layouts.close();
  });
  return {
    db,
    url,
    clock,
    layouts,
    orders,
    ordersOn,
    writerOn: (other) => createOrderWriter({ db: other, layouts, writes, clock, defaultCurrency }),
    async salt(customerId, ways, state = 'active') {
      await db.query(
        dynamic(sql`insert into customer_salts (customer_id, layout, ways, state, epoch, drain_until)
          select ${customerId}, count(*) filter (where customer_id = ${customerId}) + 1, ${ways}, ${state}, nextval('customer_salts_epochs'),
                 case ${state} when 'draining' then now() + interval '1 hour' end from customer_salts`),
      );
      await layouts.refresh();
    },
  };
}

const tables = ['orders', 'order_statuses', 'order_keys', 'customer_salts'] as const;

/** Leaves no order behind. TRUNCATE of every month in every shard of a cluster takes seconds: few rows are sooner deleted there. */
export async function emptyOrders(db: Database): Promise<void> {
  if (!onCitus) await db.query(dynamic(sql`truncate ${sql.raw(tables.join(', '))}`));
  else for (const table of tables) await db.query(dynamic(sql`delete from ${sql.raw(table)}`));
}

/** An order to be compared: stored JSON has other white space than what was sent. */
export const withItems = ({ itemsJson, ...order }: Order) => ({ ...order, items: itemsOf({ itemsJson }) });

/** Builders: each test says only what matters to it. */
export const given = {
  order: (more: Partial<NewOrder> = {}): NewOrder => {
    const items = more.items ?? [{ sku: 'A', quantity: 2, unit_price: 500 }];
    const total = items.reduce((sum, { quantity, unit_price }) => sum + quantity * unit_price, 0);
    return {
      customerId: 'C',
      orderNumber: null,
      placedAt: null,
      currency: null,
      items,
      total,
      statuses: null,
      ...more,
    };
  },
  toWrite: (more: Partial<NewOrder> = {}, requestKey: string | null = null): OrderToWrite => ({
    order: given.order(more),
    requestKey,
    actor: 'test',
  }),
  status: (
    status: ImportedStatus['status'],
    occurredAt: number,
    more: Partial<ImportedStatus> = {},
  ): ImportedStatus => ({
    status,
    occurredAt: occurredAt as Instant,
    reason: null,
    eventKey: null,
    ...more,
  }),
};

/**
 * What must hold of any database: each key has its order in its own bucket and each order its history without gaps, whose
 * newest row by (occurred_at, seq) is what the order says. The rules are written out in SQL here, apart from the code.
 * @returns the faults found, none if all is well
 */
export const inconsistencies = (db: Database): Promise<{ fault: string; id: string }[]> =>
  db.query(
    dynamic(sql`
      select 'key without order' as fault, k.order_id::text as id from order_keys k left join orders o using (order_id, bucket) where o.order_id is null
      union all
      select 'order without history', o.order_id::text from orders o where not exists (select from order_statuses s where s.order_id = o.order_id and s.bucket = o.bucket)
      union all
      select 'history without order', s.order_id::text from order_statuses s left join orders o using (order_id, bucket) where o.order_id is null
      union all
      select 'gap in a history', order_id::text from order_statuses group by order_id having min(seq) <> 1 or max(seq) <> count(*)
      union all
      select 'copy differs from log', o.order_id::text
        from orders o
        join lateral (select * from order_statuses s where s.order_id = o.order_id and s.bucket = o.bucket order by occurred_at desc, seq desc limit 1) w on true
        join lateral (select max(seq) as last_seq from order_statuses s where s.order_id = o.order_id and s.bucket = o.bucket) l on true
       where (o.status, o.status_at, o.status_seq, o.last_seq) is distinct from (w.status, w.occurred_at, w.seq, l.last_seq) or o.reason is distinct from w.reason
      union all
      select 'number taken twice', min(order_id::text) from orders where order_number is not null group by customer_id, order_number having count(*) > 1
      union all
      select 'number without key', o.order_id::text from orders o where order_number is not null
         and not exists (select from order_keys k where k.order_id = o.order_id and k.bucket = o.bucket and k.kind = 'number' and k.key = o.order_number)`),
  );
