import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bucket } from '../../core/bucket.ts';
import { newOrderId, type OrderId } from '../../core/ids.ts';
import { type Instant, minuteMs } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { createTestClient } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import { emptyOrders, given, inconsistencies, openTestOrders } from '../../testing/test-orders.ts';
import { type OrderStatus, orderStatuses } from './order-status.ts';
import { type ReportedStatus, recordStatuses } from './order-status-service.ts';

const { db, url, clock, orders } = await openTestOrders();
const at = (ms: number) => ms as Instant;
const report = (orderId: OrderId, status: OrderStatus, more: Partial<ReportedStatus> = {}): ReportedStatus => ({
  orderId,
  status,
  reason: null,
  occurredAt: null,
  eventKey: null,
  expectedVersion: null,
  actor: 'test',
  ...more,
});
const newOrder = async () =>
  (await orders.createOrder(given.toWrite({ placedAt: at(testNow - 10_000) }))).order.orderId;
const record = (...events: ReportedStatus[]) => recordStatuses({ db, clock }, events);
const kinds = async (...events: ReportedStatus[]) =>
  (await record(...events)).map((outcome) => (outcome.kind === 'refused' ? outcome.code : outcome.kind));
const nowhere = newOrderId(at(testNow), 1 as Bucket);

beforeEach(async () => {
  clock.set(testNow);
  await emptyOrders(db);
});
afterEach(async () => {
  expect(await inconsistencies(db)).toEqual([]);
});

describe('recordStatuses', () => {
  test('judges several statuses of one order one after another, in one transaction', async () => {
    const id = await newOrder();
    const other = await newOrder();
    expect(
      await kinds(
        report(id, 'complete'),
        report(other, 'cancelled'),
        report(id, 'complete'),
        report(id, 'cancelled'),
        report(id, 'cancelled', { reason: 'refund' }),
        report(id, 'complete'),
        report(id, 'complete', { occurredAt: at(testNow - 5_000) }),
      ),
    ).toEqual(['recorded', 'recorded', 'unchanged', 'reason_required', 'recorded', 'status_conflict', 'late']);
    expect(await orders.getOrder(id)).toMatchObject({
      status: 'cancelled',
      statusAt: testNow,
      reason: 'refund',
      version: 4,
    });
    expect((await orders.getHistory(id)).map(({ seq, status }) => [seq, status])).toEqual([
      [1, 'pending'],
      [2, 'complete'],
      [3, 'cancelled'],
      [4, 'complete'],
    ]);
  });

  test('knows an event by its key, within a batch and later; with another content it is refused', async () => {
    const id = await newOrder();
    const paid = report(id, 'complete', { eventKey: 'paid', occurredAt: at(testNow - 1_000) });
    expect(await kinds(paid, paid, { ...paid, status: 'cancelled' })).toEqual([
      'recorded',
      'replayed',
      'event_key_reused',
    ]);
    expect(await kinds(report(id, 'cancelled', { reason: 'refund' }), paid, { ...paid, occurredAt: null })).toEqual([
      'recorded',
      'replayed',
      'replayed',
    ]);
    // Another order may have an event of the same name.
    expect(await kinds({ ...paid, orderId: await newOrder() })).toEqual(['recorded']);
    expect(await orders.getHistory(id)).toHaveLength(3);
  });

  test('finds a late event again by its key', async () => {
    const id = await newOrder();
    const late = report(id, 'cancelled', { eventKey: 'late', occurredAt: at(testNow - 20_000) });
    expect(await kinds(late)).toEqual(['late']);
    expect(await kinds(late)).toEqual(['replayed']);
    expect(await orders.getOrder(id)).toMatchObject({ status: 'pending', statusAt: testNow - 10_000, version: 2 });
  });

  test('answers for an order that is not there without harm to the others', async () => {
    const id = await newOrder();
    expect(
      await kinds(report(nowhere, 'complete'), report(id, 'complete'), report(nowhere, 'complete', { eventKey: 'k' })),
    ).toEqual(['not_found', 'recorded', 'not_found']);
  });

  test('lets one of several that expect the same version win', async () => {
    const id = await newOrder();
    expect(
      await kinds(
        report(id, 'complete', { expectedVersion: 1 }),
        report(id, 'cancelled', { expectedVersion: 1, reason: 'r' }),
      ),
    ).toEqual(['recorded', 'version_mismatch']);
  });

  test('gives an event without a time its turn: never before the status it follows', async () => {
    const id = await newOrder();
    await record(report(id, 'complete', { occurredAt: at(testNow + 5 * minuteMs) }));
    expect(await record(report(id, 'cancelled', { reason: 'r' }))).toMatchObject([
      { kind: 'recorded', row: { occurredAt: testNow + 5 * minuteMs, recordedAt: testNow } },
    ]);
    expect(await kinds(report(id, 'cancelled', { occurredAt: at(testNow + 5 * minuteMs + 1) }))).toEqual([
      'occurred_at_in_future',
    ]);
  });

  test('by two writers at once keeps one history without gaps, whatever they report', async () => {
    const second = createTestClient(url);
    const event = fc.record({
      order: fc.nat(2),
      status: fc.constantFrom(...orderStatuses),
      reason: fc.option(fc.constant('r')),
      step: fc.option(fc.integer({ min: -3, max: 3 })),
      key: fc.option(fc.constantFrom('a', 'b')),
    });
    const batches = fc.array(fc.array(event, { minLength: 1, maxLength: 6 }), { minLength: 2, maxLength: 8 });
    try {
      await fc.assert(
        fc.asyncProperty(batches, async (list) => {
          const ids = await Promise.all([newOrder(), newOrder(), newOrder()]);
          const outcomes = await Promise.all(
            list.map((batch, i) =>
              recordStatuses(
                { db: i % 2 === 0 ? db : second, clock },
                batch.map(({ order, status, reason, step, key }) =>
                  report(ids[order] as OrderId, status, {
                    reason,
                    eventKey: key,
                    occurredAt: step === null ? null : at(testNow + step),
                  }),
                ),
              ),
            ),
          );
          const written = outcomes.flat().filter(({ kind }) => kind === 'recorded' || kind === 'late').length;
          const histories = await Promise.all(ids.map((id) => orders.getHistory(id)));
          expect(histories.flat()).toHaveLength(3 + written);
          expect(await inconsistencies(db)).toEqual([]);
        }),
        { numRuns: 25 },
      );
    } finally {
      await second.close();
    }
  });
});

describe('single statuses through group commit', () => {
  test('answer with the order as it stands then', async () => {
    const id = await newOrder();
    const results = await Promise.all([
      orders.recordStatus(report(id, 'complete', { eventKey: 'k' })),
      orders.recordStatus(report(id, 'complete', { eventKey: 'k' })),
      orders.recordStatus(report(id, 'complete')),
    ]);
    expect(results.map(({ outcome }) => outcome)).toEqual(['recorded', 'replayed', 'unchanged']);
    for (const { order } of results) expect(order).toMatchObject({ orderId: id, status: 'complete', version: 2 });
  });

  test('are refused each with its own reason; what would work is named', async () => {
    const id = await newOrder();
    const other = await newOrder();
    await orders.recordStatus(report(id, 'cancelled'));
    const results = await Promise.allSettled([
      orders.recordStatus(report(nowhere, 'complete')),
      orders.recordStatus(report(id, 'complete')),
      orders.recordStatus(report(other, 'complete')),
    ]);
    expect(results).toMatchObject([
      { reason: { code: 'order_not_found', facts: { order_id: nowhere } } },
      { reason: { code: 'status_conflict', facts: { current: 'cancelled', allowed: [], version: 2 } } },
      { status: 'fulfilled' },
    ]);
  });

  test('by many at once: one of them completes each order, nobody is told twice that he did', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, newOrder));
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, i) => orders.recordStatus(report(ids[i % 20] as OrderId, 'complete'))),
    );
    expect(results.filter(({ outcome }) => outcome === 'recorded')).toHaveLength(20);
    expect(results.filter(({ outcome }) => outcome === 'unchanged')).toHaveLength(180);
  });

  test('that the database refuses fail alone', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, newOrder));
    await db.query(
      dynamic(sql`alter table order_statuses_2025_06 add constraint for_this_test check (reason <> 'bad')`),
    );
    try {
      const results = await Promise.allSettled(
        ids.map((id, i) => orders.recordStatus(report(id, 'cancelled', { reason: i === 7 ? 'bad' : 'good' }))),
      );
      expect(results.flatMap((result, i) => (result.status === 'rejected' ? [i] : []))).toEqual([7]);
      expect(results[7]).toMatchObject({ reason: { code: 'row_refused' } });
    } finally {
      await db.query(dynamic(sql`alter table order_statuses_2025_06 drop constraint for_this_test`));
    }
  });
});
