import { beforeAll, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { lowestIdAt, type OrderId } from '../../core/ids.ts';
import { type Instant, monthName, monthOf } from '../../core/time.ts';
import { ensureMonths, readyMonths } from '../../storage/partitions.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import { histogramOf } from './order-histogram-queries.ts';
import { selectOrderKeys } from './order-keys-queries.ts';
import { historiesOf, historyOf, knownEvents } from './order-statuses-queries.ts';
import { idSpan } from './order-walk.ts';
import { countOrders, lockOrders, type OrderSelection, orderById, orderIdAt, ordersPage } from './orders-queries.ts';

const { db } = await openTestDatabase({ statementTimeoutMs: 60_000 });

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Runs the statement and returns the nodes of its plan that were really executed. */
async function executed(statement: Statement<unknown>): Promise<PlanNode[]> {
  const [row] = await db.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>({
    text: `explain (analyze, timing off, format json) ${statement.text}`,
    values: statement.values,
  });
  const nodes: PlanNode[] = [];
  const visit = (node: PlanNode | undefined): void => {
    if (node === undefined || node['Actual Loops'] === 0) return;
    nodes.push(node);
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(row?.['QUERY PLAN'][0]?.Plan);
  expect(nodes.length).toBeGreaterThan(0);
  return nodes;
}
const relationsOf = (nodes: readonly PlanNode[]) => [...new Set(nodes.flatMap((node) => node['Relation Name'] ?? []))];
const typesOf = (nodes: readonly PlanNode[]) => nodes.map((node) => node['Node Type']);
/** Rows that scans touched, those a filter threw away included. */
const touched = (nodes: readonly PlanNode[]) =>
  nodes
    .filter((node) => node['Relation Name'] !== undefined)
    .reduce(
      (sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
      0,
    );

function expectIndexed(nodes: readonly PlanNode[]): void {
  // A partition without rows (the months ahead) may be read as a whole: that is nothing.
  const wholes = nodes.filter((node) => node['Node Type'].includes('Seq Scan'));
  expect(wholes.filter((node) => touched([node]) > 0)).toEqual([]);
  expect(typesOf(nodes).filter((type) => type.includes('Hash') || type === 'Materialize')).toEqual([]);
}

const months = readyMonths(testNow);
const rowsAMonth = 2_500;
let someId: OrderId;
const customer = { id: 'C7', buckets: [bucketOf('C7')] };
const all: OrderSelection = { statuses: [], customer: null };

beforeAll(async () => {
  await ensureMonths(db, months);
  // 25 months with rows, 2,000 customers, nine of ten orders complete: what a shop looks like, not a uniform toy.
  await db.query(
    dynamic(sql`insert into orders (order_id, bucket, customer_id, order_number, placed_at, currency, total_minor, items, status, status_at, status_seq, last_seq)
      select id, bucket_of_id(id), customer, 'N' || n, at, 'EUR', 100, '[{"sku": "A", "quantity": 1, "unit_price": 100}]', status, at, 1, 1
        from (select n, at, 'C' || n % 2000 as customer,
                     case when n % 20 = 0 then 'cancelled' when n % 20 = 1 then 'pending' else 'complete' end as status,
                     (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(bucket_of('C' || n % 2000)::int), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid as id
                from (select n, date_trunc('milliseconds', timestamptz '2023-06-01T00:00:00Z' + (timestamptz '2025-06-30T12:00:00Z' - timestamptz '2023-06-01T00:00:00Z') * (n / ${25 * rowsAMonth}::float)) as at
                        from generate_series(1, ${25 * rowsAMonth}) n) numbers) made`),
  );
  await db.query(
    dynamic(sql`insert into order_statuses (order_id, bucket, seq, status, occurred_at, recorded_at, actor, event_key)
    select order_id, bucket, 1, status, placed_at, placed_at, 'test', 'event' from orders`),
  );
  await db.query(
    dynamic(sql`insert into order_keys (bucket, customer_id, kind, key, order_id, content_hash)
    select bucket, customer_id, 'number', order_number, order_id, '\\x00' from orders`),
  );
  await db.query(dynamic(sql`analyze orders, order_statuses, order_keys`));
  const [row] = await db.query(
    dynamic<{ id: OrderId }>(
      sql`select order_id as id from orders where customer_id = 'C7' order by order_id desc limit 1`,
    ),
  );
  if (row === undefined) throw new Error('no rows');
  someId = row.id;
}, 60_000);

describe('by id', () => {
  test.each([
    ['an order', () => orderById(someId), 'orders', 1],
    ['a history', () => historyOf(someId), 'order_statuses', 1],
    ['a lock', () => lockOrders([someId]), 'orders', 1],
    ['histories', () => historiesOf([someId]), 'order_statuses', 1],
  ] as const)('%s is one index look-up in one partition', async (...[, statement, table, rows]) => {
    const nodes = await executed(statement());
    expectIndexed(nodes);
    expect(relationsOf(nodes)).toEqual([`${table}_${monthName(monthOf(testNow))}`]);
    expect(touched(nodes)).toBe(rows);
  });

  test('also as a generic plan, which the server may choose for a prepared statement', async () => {
    await db.transaction(async (tx) => {
      await tx.run(dynamic(sql`set local plan_cache_mode = force_generic_plan`));
      await tx.run(dynamic(sql`prepare by_id (uuid, int) as ${sql.raw(orderById(someId).text)}`));
      const [row] = await tx.run(
        dynamic<{ 'QUERY PLAN': { Plan: { 'Subplans Removed'?: number } }[] }>(
          sql`explain (format json) execute by_id (${sql.lit(someId)}, ${sql.lit(customer.buckets[0])})`,
        ),
      );
      expect(row?.['QUERY PLAN'][0]?.Plan['Subplans Removed']).toBe(months.length - 1);
      await tx.run(dynamic(sql`deallocate by_id`));
    });
  });
});

describe('by key', () => {
  test('an order number is an index look-up', async () => {
    const key = { kind: 'number' as const, key: `N${25 * rowsAMonth}`, customerId: 'C500', bucket: bucketOf('C500') };
    const nodes = await executed(selectOrderKeys([key]));
    expectIndexed(nodes);
    expect(touched(nodes)).toBeLessThanOrEqual(1);
  });

  test('an event key is looked for in the partition of its order alone', async () => {
    const nodes = await executed(knownEvents([{ orderId: someId, eventKey: 'event' }]));
    expectIndexed(nodes);
    expect(relationsOf(nodes)).toEqual([`order_statuses_${monthName(monthOf(testNow))}`]);
  });
});

describe('a page', () => {
  const limit = 51;
  const everywhere = idSpan(null, null);
  const recent = idSpan((testNow - 80 * 86_400_000) as Instant, null);

  test.each([
    ['of all orders', all, recent],
    ['of one status', { ...all, statuses: ['cancelled'] }, recent],
    ['of one status over all months', { ...all, statuses: ['cancelled'] }, everywhere],
    [
      'from the middle of all months',
      { ...all, statuses: ['pending'] },
      { ...everywhere, to: lowestIdAt((testNow - 300 * 86_400_000) as Instant) },
    ],
  ] as const)('%s reads the rows it shows and sorts none, in both directions', async (_, selection, span) => {
    for (const direction of ['newest', 'oldest'] as const) {
      const nodes = await executed(ordersPage(selection as OrderSelection, { ...span, direction }, limit));
      expectIndexed(nodes);
      expect(typesOf(nodes).filter((type) => type.includes('Sort'))).toEqual([]);
      expect(touched(nodes)).toBeLessThanOrEqual(limit + months.length);
    }
  });

  test('of several statuses merges one ordered part each', async () => {
    const nodes = await executed(
      ordersPage({ ...all, statuses: ['cancelled', 'pending'] }, { ...recent, direction: 'newest' }, limit),
    );
    expectIndexed(nodes);
    expect(touched(nodes)).toBeLessThanOrEqual(2 * (limit + months.length));
    for (const node of nodes)
      if (node['Node Type'].includes('Sort')) expect(node['Actual Rows']).toBeLessThanOrEqual(2 * limit);
  });

  test('of a customer reads that customer only, over all months', async () => {
    for (const statuses of [[], ['complete']] as OrderSelection['statuses'][]) {
      const nodes = await executed(ordersPage({ statuses, customer }, { ...everywhere, direction: 'newest' }, limit));
      expectIndexed(nodes);
      expect(touched(nodes)).toBeLessThanOrEqual(35);
      // A customer has few rows in a month: some may be sorted, never those of others.
      for (const node of nodes)
        if (node['Node Type'].includes('Sort')) expect(node['Actual Rows']).toBeLessThanOrEqual(limit);
    }
  });

  test('by number reads no more than the rows before it; a count no more than its bound', async () => {
    const selection: OrderSelection = { ...all, statuses: ['complete'] };
    // Nine of ten orders are complete: reading all by id and leaving the tenth out is as good as the index by status.
    const mostly = 1.2;
    const paged = await executed(orderIdAt(selection, { ...everywhere, direction: 'newest' }, 3_000));
    expectIndexed(paged);
    expect(touched(paged)).toBeLessThanOrEqual(mostly * 3_001);
    const counted = await executed(countOrders(selection, { ...everywhere, direction: 'newest' }, 5_001));
    expectIndexed(counted);
    expect(touched(counted)).toBeLessThanOrEqual(mostly * 5_001);
  });
});

describe('a histogram', () => {
  const dayMs = 86_400_000;

  test('opens the months of its range and no other; of a customer it reads that customer only', async () => {
    const span = idSpan(Date.UTC(2025, 3, 10) as Instant, Date.UTC(2025, 4, 20) as Instant);
    const nodes = await executed(histogramOf(all, span, 'hour'));
    expect(relationsOf(nodes).sort()).toEqual(['orders_2025_04', 'orders_2025_05']);
    // Groups are sorted, orders never: there may be any number of them.
    const groups = nodes.find((node) => node['Node Type'] === 'CTE Scan')?.['Actual Rows'] ?? 0;
    expect(groups).toBeGreaterThan(0);
    for (const node of nodes)
      if (node['Node Type'].includes('Sort')) expect(node['Actual Rows']).toBeLessThanOrEqual(groups);
    expect(groups).toBeLessThan(touched(nodes));
    const ofCustomer = await executed(histogramOf({ statuses: [], customer }, idSpan(null, null), 'day'));
    expectIndexed(ofCustomer.filter((node) => node['Relation Name'] !== undefined));
    expect(touched(ofCustomer)).toBeLessThanOrEqual(35);
  });

  test('of an hour or of a rare status is no scan of the month', async () => {
    const to = testNow - 10 * dayMs;
    const hour = await executed(histogramOf(all, idSpan((to - 3_600_000) as Instant, to as Instant), 'hour'));
    expectIndexed(hour.filter((node) => node['Relation Name'] !== undefined));
    expect(touched(hour)).toBeLessThanOrEqual(10);
    const week = idSpan((to - 7 * dayMs) as Instant, to as Instant);
    const cancelled = await executed(histogramOf({ ...all, statuses: ['cancelled'] }, week, 'day'));
    expectIndexed(cancelled.filter((node) => node['Relation Name'] !== undefined));
    expect(touched(cancelled)).toBeLessThanOrEqual((7 / 30) * rowsAMonth * 0.06);
  });
});
