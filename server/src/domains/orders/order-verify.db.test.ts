import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { OrderId } from '../../core/ids.ts';
import { dayMs, type Instant } from '../../core/time.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import { createTestJobs, noThrottle } from '../../testing/test-jobs.ts';
import { emptyOrders, given, openTestOrders } from '../../testing/test-orders.ts';
import { createOrderLog } from './order-log-service.ts';
import { type ImportedStatus, orderStatuses } from './order-status.ts';
import { createOrderVerifyKind } from './order-verify-jobs.ts';
import type { Difference } from './order-verify-service.ts';

const { db, orders } = await openTestOrders();
const log = createOrderLog(db);

beforeEach(() => emptyOrders(db));

/** An engine of its own, as if in another process, that compares so many orders at once. */
const engine = (windowOrders: number, onDifference?: (difference: Difference) => void): Jobs => {
  const kind = createOrderVerifyKind(onDifference === undefined ? {} : { onDifference });
  const batchRows = { initial: windowOrders, min: windowOrders, max: windowOrders };
  return createTestJobs(db, { kinds: [{ ...kind, batchRows }] });
};
const start = async (jobs: Jobs, repair: boolean) =>
  (await jobs.start('orders.verify', { repair }, { actor: 'test', throttle: noThrottle })).run;
const here = { signal: new AbortController().signal, whenStopped: 'pause' } as const;

async function verify({ repair = false, windowOrders = 4 } = {}) {
  const found: Difference[] = [];
  const jobs = engine(windowOrders, (difference) => found.push(difference));
  const { counts } = await jobs.runHere((await start(jobs, repair)).runId, here);
  return { differences: counts['differences'], mended: counts['mended'], ...counts, found };
}

/** Orders on different days, with a history each. */
async function write(histories: readonly (readonly ImportedStatus[])[]): Promise<OrderId[]> {
  const rows = histories.map((statuses, i) =>
    given.toWrite({
      customerId: `C${i % 7}`,
      orderNumber: `N${i}`,
      placedAt: (testNow - i * dayMs) as Instant,
      statuses,
    }),
  );
  const outcomes = await orders.writer.write(rows, { by: 'copy', olderMonths: 'make' });
  return outcomes.map((outcome) => {
    if (outcome.kind !== 'created') throw new Error(outcome.kind);
    return outcome.order.orderId;
  });
}

const nothing = (count: number) => Array.from({ length: count }, () => []);

describe('verifying', () => {
  test('finds no difference and counts everything, however the windows fall', async () => {
    await write([...nothing(9), [given.status('complete', testNow)]]);
    for (const windowOrders of [1, 3, 10, 100]) {
      expect(await verify({ windowOrders })).toMatchObject({ orders: 10, statuses: 11, keys: 10, differences: 0 });
    }
  });

  test('an empty database has no differences', async () => {
    expect(await verify()).toMatchObject({ orders: 0, statuses: 0, keys: 0, differences: 0 });
  });

  test.each([
    [`status = 'cancelled'`],
    [`status_at = '2001-01-01T00:00:00Z'`],
    ['status_seq = 7'],
    ['last_seq = 7'],
    [`reason = 'because'`],
  ])('finds a copy with %s, and repair makes it anew from the log', async (change) => {
    const ids = await write(nothing(6));
    const before = await orders.getOrder(ids[3] as OrderId);
    await db.query(dynamic(sql`update orders set ${sql.raw(change)} where order_id = ${ids[3]}`));
    expect((await verify()).found).toEqual([{ kind: 'status_differs', orderId: ids[3], mended: false }]);
    expect(await verify({ repair: true })).toMatchObject({ differences: 1, mended: 1 });
    expect(await verify()).toMatchObject({ differences: 0 });
    expect(await orders.getOrder(ids[3] as OrderId)).toEqual(before);
  });

  test('finds orders without history, histories and keys without order; repair leaves them', async () => {
    const ids = await write(nothing(6));
    await db.query(dynamic(sql`delete from order_statuses where order_id = ${ids[1]}`));
    await db.query(dynamic(sql`delete from orders where order_id = ${ids[4]}`));
    const { found, differences, mended } = await verify({ repair: true });
    expect({ differences, mended }).toEqual({ differences: 3, mended: 0 });
    expect(found.map(({ kind, orderId }) => [kind, orderId]).sort()).toEqual(
      [
        ['order_without_history', ids[1]],
        ['history_without_order', ids[4]],
        ['key_without_order', ids[4]],
      ].sort(),
    );
  });
});

test('the log alone names the same cancelled orders as the copied status, page by page', async () => {
  const status = fc.record({
    status: fc.constantFrom(...orderStatuses),
    // Few moments, so that ties are many; before and after the order was placed.
    offset: fc.integer({ min: -3, max: 3 }),
  });
  const histories = fc.array(fc.array(status, { maxLength: 5 }), { minLength: 1, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(histories, fc.integer({ min: 1, max: 6 }), async (many, limit) => {
      await emptyOrders(db);
      await write(
        many.map((rows, i) => rows.map(({ status: one, offset }) => given.status(one, testNow - i * dayMs + offset))),
      );
      const fromLog: OrderId[] = [];
      for (let after: OrderId | null = null; ; ) {
        const page: Awaited<ReturnType<typeof log.listCancelled>> = await log.listCancelled({ after, limit });
        fromLog.push(...page.items.map(({ orderId }) => orderId));
        if (page.next === null) break;
        after = page.next;
      }
      const filter = {
        statuses: ['cancelled'] as const,
        customerId: null,
        orderNumber: null,
        placedFrom: null,
        placedTo: null,
      };
      const { items } = await orders.listOrders({ filter, direction: 'newest', limit: 500, after: null });
      expect(fromLog).toEqual(items.map(({ orderId }) => orderId));
    }),
    { numRuns: 40 },
  );
});
