import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OrderId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import { emptyOrders, given, inconsistencies, openTestOrders } from '../../testing/test-orders.ts';
import { type OrderStatus, orderStatuses } from './order-status.ts';
import { type ReportOutcome, recordReports, type StatusReport } from './order-status-report-service.ts';
import type { OrderReference, SubmittedStatus } from './order-status-submission.ts';

const { db, clock, layouts, orders, salt } = await openTestOrders();
const at = (ms: number) => ms as Instant;
const report = (reference: OrderReference, status: OrderStatus, more: Partial<SubmittedStatus> = {}): StatusReport => ({
  reference,
  event: { status, reason: null, occurredAt: null, eventKey: null, ...more },
  actor: 'test',
});
const newOrder = async (customerId = 'C', orderNumber: string | null = null): Promise<OrderId> =>
  (await orders.createOrder(given.toWrite({ customerId, orderNumber, placedAt: at(testNow - 10_000) }))).order.orderId;
const nameOf = (outcome: ReportOutcome): string => (outcome.kind === 'refused' ? outcome.error.code : outcome.kind);
const record = async (...reports: StatusReport[]) => (await orders.recordReports(reports)).map(nameOf);

beforeEach(async () => {
  await emptyOrders(db);
  await layouts.refresh();
});
afterEach(async () => {
  expect(await inconsistencies(db)).toEqual([]);
});

describe('reports', () => {
  test('find orders by number whatever layout their customer had, in one statement', async () => {
    const ids: OrderId[] = [];
    for (const ways of [1, 3, 8]) {
      if (ways > 1) await salt('big', ways);
      for (let i = 0; i < 10; i++) ids.push(await newOrder('big', `${ways}-${i}`));
    }
    let statements = 0;
    const counting = {
      ...db,
      query: <Row>(statement: Parameters<typeof db.query<Row>>[0]) => {
        statements++;
        return db.query(statement);
      },
    };
    const byNumber = [1, 3, 8].flatMap((ways) =>
      Array.from({ length: 10 }, (_, i) => report({ customerId: 'big', orderNumber: `${ways}-${i}` }, 'complete')),
    );
    const outcomes = await recordReports({ db: counting, clock, layouts }, byNumber);
    expect(outcomes).toEqual(ids.map((orderId) => ({ kind: 'recorded', orderId, status: 'complete' })));
    expect(statements).toBe(1);
  });

  test('of one order are judged one after another, whether it is named by id or by number', async () => {
    const orderId = await newOrder('C', 'N1');
    const byNumber = { customerId: 'C', orderNumber: 'N1' };
    expect(
      await record(
        report({ orderId }, 'complete', { eventKey: 'paid' }),
        report(byNumber, 'complete'),
        report(byNumber, 'complete', { eventKey: 'paid' }),
        report({ orderId }, 'cancelled'),
        report({ orderId }, 'complete', { occurredAt: at(testNow - 5_000) }),
        report(byNumber, 'cancelled', { reason: 'refund' }),
        report({ orderId }, 'complete'),
      ),
    ).toEqual(['recorded', 'unchanged', 'replayed', 'reason_required', 'late', 'recorded', 'status_conflict']);
  });

  test('of orders that are not there say so and harm nobody', async () => {
    const orderId = await newOrder('C', 'N1');
    const nowhere = orderId.replace(/.$/, (last) => (last === '0' ? '1' : '0')) as OrderId;
    const outcomes = await orders.recordReports([
      report({ orderId: nowhere }, 'complete'),
      report({ customerId: 'C', orderNumber: 'N2' }, 'complete'),
      report({ customerId: 'D', orderNumber: 'N1' }, 'complete'),
      report({ orderId }, 'complete'),
    ]);
    expect(outcomes.map(nameOf)).toEqual(['order_not_found', 'order_not_found', 'order_not_found', 'recorded']);
    expect(outcomes[1]).toMatchObject({ error: { message: 'Customer C has no order with the number N2.' } });
    expect(await orders.recordReports([])).toEqual([]);
  });

  test('that the database refuses fail alone, and those around them keep their order', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => newOrder()));
    await db.query(
      dynamic(sql`alter table order_statuses_2025_06 add constraint for_this_test check (reason <> 'bad')`),
    );
    try {
      const rows = ids.flatMap((orderId, i) => [
        report({ orderId }, 'complete', { reason: i === 5 ? 'bad' : 'good' }),
        report({ orderId }, 'cancelled', { reason: 'refund' }),
      ]);
      const expected = rows.map((_, i) => (i === 10 ? 'row_refused' : 'recorded'));
      expect(await record(...rows)).toEqual(expected);
    } finally {
      await db.query(dynamic(sql`alter table order_statuses_2025_06 drop constraint for_this_test`));
    }
  });

  test('have the outcomes that the same reports have one by one', async () => {
    const event = fc.record({
      order: fc.nat(2),
      status: fc.constantFrom(...orderStatuses),
      reason: fc.option(fc.constant('r')),
      step: fc.option(fc.integer({ min: -3, max: 400_000 })),
      key: fc.option(fc.constantFrom('a', 'b')),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 20 }), async (events) => {
        const many = await Promise.all([newOrder(), newOrder(), newOrder()]);
        const single = await Promise.all([newOrder(), newOrder(), newOrder()]);
        const reportsOf = (ids: readonly OrderId[]) =>
          events.map(({ order, status, reason, step, key }) =>
            report({ orderId: ids[order] as OrderId }, status, {
              reason,
              eventKey: key,
              occurredAt: step === null ? null : at(testNow + step),
            }),
          );
        const oneByOne: string[] = [];
        for (const { reference, event, actor } of reportsOf(single)) {
          if (!('orderId' in reference)) throw new RangeError('by id');
          oneByOne.push(
            await orders.recordStatus({ ...event, orderId: reference.orderId, actor, expectedVersion: null }).then(
              ({ outcome }) => outcome,
              (error: { code: string }) => error.code,
            ),
          );
        }
        expect(await record(...reportsOf(many))).toEqual(oneByOne);
        for (const i of [0, 1, 2]) {
          const [a, b] = await Promise.all([many, single].map((ids) => orders.getHistory(ids[i] as OrderId)));
          expect(a).toEqual(b);
        }
      }),
      { numRuns: 20 },
    );
  });
});
