import { afterAll, describe, expect, test } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { bucketOfWay } from '../core/customer-layout.ts';
import { dayOf } from '../core/days.ts';
import type { Currency } from '../core/money.ts';
import { silentLogger } from '../core/ports.ts';
import { createShipments } from '../domains/shipments/shipments-service.ts';
import { createTickets } from '../domains/tickets/tickets-service.ts';
import type { Decimal } from '../domains/usage/usage.ts';
import { openUsage } from '../domains/usage/usage-service.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { explain, recordStatements } from './explained-statements.ts';
import { onCitus } from './on-citus.ts';
import { testNow } from './test-clock.ts';
import { given, openTestOrders } from './test-orders.ts';
import { eventToRecord, shipmentKey, shipmentToWrite } from './test-shipments.ts';
import { ticketToWrite } from './test-tickets.ts';

// How many shards a statement asks is a question of Citus alone: on one server there is nothing to ask.
describe.skipIf(!onCitus)('the shards that are asked', async () => {
  const { db, ordersOn, salt, clock } = await openTestOrders();
  const recording = recordStatements(db);
  const orders = ordersOn(recording.db);
  const tickets = createTickets({ db: recording.db, clock, groupCommit: true });
  const defaultCurrency = 'EUR' as Currency;
  const shipments = createShipments({ db: recording.db, clock, defaultCurrency, groupCommit: true });
  const usage = await openUsage({
    ...{ db: recording.db, clock, logger: silentLogger, rawDays: 3, rollupPauseMs: 100, groupCommit: true },
  });
  afterAll(async () => {
    await Promise.all([tickets.drain(), shipments.drain(), usage.drain()]);
  });

  /** How many shards hold these buckets. */
  const shardsOf = async (buckets: readonly Bucket[]): Promise<number> => {
    const [row] = await db.query(
      dynamic<{ n: bigint }>(
        sql`select count(distinct get_shard_id_for_distribution_column('orders', b::smallint)) as n from unnest(${buckets}::int[]) b`,
      ),
    );
    return Number(row?.n);
  };

  /** The statements of `work` that ask another number of shards than `shards`; those whose rows are sent to their home ask none. */
  const askingOtherThan = async (shards: number, work: () => Promise<unknown>): Promise<string[]> => {
    const statements = await recording.statementsOf(work);
    expect(statements.length).toBeGreaterThan(0);
    const wrong: string[] = [];
    for (const statement of statements) {
      const { tasks, isSent, text } = await explain(db, statement);
      if (isSent && tasks.length === 0) continue;
      const isLocal = /usage_(batches|horizon|types)|token_generations|customer_salts|server_leases|pg_/.test(text);
      if (tasks.every((count) => count === 1 || (!isLocal && count === shards))) continue;
      wrong.push(`${tasks.join(', ')} tasks: ${text}`);
    }
    return wrong;
  };

  test('there are several', async () => {
    expect(await shardsOf(Array.from({ length: 4096 }, (_, bucket) => bucket as Bucket))).toBeGreaterThan(1);
  });

  test('an order of a plain customer is made, read, listed, counted and changed in one shard', async () => {
    const made = await orders.createOrder(given.toWrite({ customerId: 'plain', orderNumber: 'N1' }));
    const { orderId } = made.order;
    const change = { orderId, reason: null, occurredAt: null, eventKey: null, expectedVersion: null, actor: 'test' };
    const filter = { statuses: [], customerId: 'plain', orderNumber: null, placedFrom: null, placedTo: null };
    const page = { direction: 'newest', limit: 10, after: null } as const;
    for (const work of [
      () => orders.createOrder(given.toWrite({ customerId: 'plain', orderNumber: 'N2' })),
      () => orders.createOrder(given.toWrite({ customerId: 'plain', orderNumber: 'N1' })),
      () => orders.getOrder(orderId),
      () => orders.getHistory(orderId),
      () => orders.listOrders({ filter, ...page }),
      () => orders.listOrders({ filter: { ...filter, statuses: ['pending'] }, ...page }),
      () => orders.listOrders({ filter: { ...filter, orderNumber: 'N1' }, ...page }),
      () => orders.countOrders(filter),
      () => orders.recordStatus({ ...change, status: 'complete' }),
    ])
      expect(await askingOtherThan(1, work), String(work)).toEqual([]);
  });

  test('the orders of a salted customer are read from exactly the shards of its ways', async () => {
    await salt('salted', 4);
    const made = await orders.createOrder(given.toWrite({ customerId: 'salted', orderNumber: 'S1' }));
    const ways = await shardsOf([0, 1, 2, 3].map((way) => bucketOfWay('salted', way)));
    const filter = { statuses: [], customerId: 'salted', orderNumber: null, placedFrom: null, placedTo: null };
    const list = () => orders.listOrders({ filter, direction: 'newest', limit: 10, after: null });
    const [page] = await recording.statementsOf(list);
    expect(page === undefined ? null : (await explain(db, page)).tasks).toEqual([ways]);
    expect(await askingOtherThan(ways, list)).toEqual([]);
    expect(await askingOtherThan(1, () => orders.getOrder(made.order.orderId))).toEqual([]);
  });

  test('a ticket is made, read, listed by its holder, verified and made void in one shard', async () => {
    const { ticket } = await tickets.createTicket(ticketToWrite({ holder: 'H', ticketNumber: 'T1' }));
    const [stored] = await db.query(
      dynamic<{ token: string }>(sql`select token from ticket_tokens where ticket_id = ${ticket.ticketId}`),
    );
    const filter = { holder: 'H', event: null };
    for (const work of [
      () => tickets.createTicket(ticketToWrite({ holder: 'H', ticketNumber: 'T2' })),
      () => tickets.createTicket(ticketToWrite({ holder: 'H', ticketNumber: 'T1' })),
      () => tickets.getTicket(ticket.ticketId),
      () => tickets.listTickets({ filter, direction: 'newest', limit: 10, after: null }),
      () => tickets.verifyToken(stored?.token ?? ''),
      () => tickets.voidTicket({ ticketId: ticket.ticketId, reason: null, actor: 'test' }),
    ])
      expect(await askingOtherThan(1, work), String(work)).toEqual([]);
  });

  test('a shipment is made, read and changed in one shard', async () => {
    await shipments.createShipment(shipmentToWrite());
    for (const work of [
      () => shipments.createShipment(shipmentToWrite({ ...shipmentKey('DHL', 'TN2'), trackingNumber: 'TN2' })),
      () => shipments.createShipment(shipmentToWrite()),
      () => shipments.getShipment(shipmentKey('DHL', 'TN1')),
      () => shipments.recordEvent(eventToRecord('delivered')),
    ])
      expect(await askingOtherThan(1, work), String(work)).toEqual([]);
  });

  test('usage of a subscription is stored, corrected and read in one shard', async () => {
    const usedAt = new Date(testNow - 60_000).toISOString();
    const document = {
      record_id: 'r',
      subscription_id: 'SUB',
      usage_type: 'data',
      used_at: usedAt,
      used: 1,
      price: '1.00',
    };
    const ingest = (recordId: string) =>
      usage.ingest({
        ...{ documents: [{ ...document, record_id: recordId }], actor: 'test', producerKey: null, contentHash: null },
      });
    const selection = { days: { from: dayOf(testNow), to: dayOf(testNow) }, usageType: 'data', subscriptionId: 'SUB' };
    const recency = { fresh: false, waitFor: null };
    await ingest('r1');
    await usage.rollup.once();
    for (const work of [
      () => ingest('r2'),
      () => ingest('r1'),
      () => usage.metrics({ selection, byDay: false, ...recency }, { after: null, limit: 10 }),
      () => usage.metrics({ selection, byDay: true, ...recency }, { after: null, limit: 10 }),
      () => usage.metrics({ selection, byDay: true, ...recency, fresh: true }, { after: null, limit: 10 }),
      () => usage.overLimit({ selection, priceLimit: '0.5' as Decimal, ...recency }, { after: null, limit: 10 }),
      () => usage.getSubscription('SUB'),
    ])
      expect(await askingOtherThan(1, work), String(work)).toEqual([]);
  });
});
