import { beforeAll, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { lowestIdAt, type OrderId } from '../../core/ids.ts';
import { type Instant, monthName, monthOf } from '../../core/time.ts';
import { ensureMonths, readyMonths } from '../../storage/partitions.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { shardPlans, tableOfShard } from '../../testing/shard-plans.ts';
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

/**
 * Runs the statement and looks at its plan: at the nodes that were really executed, of a cluster shard by shard.
 * @param shards how many are asked there
 */
async function eachPlan(
  statement: Statement<unknown>,
  shards: 'one' | 'all',
  look: (nodes: readonly PlanNode[]) => void,
): Promise<void> {
  const explained = await db.transaction(async (tx) => {
    if (onCitus) await tx.run(dynamic(sql`set local citus.explain_all_tasks = on`));
    const explain = 'explain (analyze, timing off, format json)';
    return tx.run<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(
      onCitus
        ? { text: `${explain} ${withValues(statement)}`, values: [] }
        : { text: `${explain} ${statement.text}`, values: statement.values },
    );
  });
  const plan = explained[0]?.['QUERY PLAN'][0]?.Plan;
  // What puts the answers of the shards together reads no table.
  const plans = onCitus
    ? shardPlans<PlanNode>(plan).filter((one) => /"Relation Name"/.test(JSON.stringify(one)))
    : [plan];
  if (!onCitus || shards === 'one') expect(plans).toHaveLength(1);
  else expect(plans.length).toBeGreaterThan(1);
  for (const one of plans) {
    const nodes = executed(one);
    expect(nodes.length).toBeGreaterThan(0);
    look(nodes);
  }
}

/** A shard plans for the values that it is sent, but EXPLAIN ANALYZE has it plan without them: here they stand in the text. */
const withValues = ({ text, values }: Statement<unknown>): string =>
  text.replace(/\$(\d+)/g, (_, place: string) => {
    const value = values[Number(place) - 1];
    return `'${Array.isArray(value) ? `{${value.join(',')}}` : String(value)}'`;
  });

function executed(plan: PlanNode | undefined): PlanNode[] {
  if (plan === undefined || plan['Actual Loops'] === 0) return [];
  return [plan, ...(plan.Plans ?? []).flatMap(executed)];
}

const relationsOf = (nodes: readonly PlanNode[]) => [
  ...new Set(
    nodes.flatMap(({ 'Relation Name': name }) => (name === undefined ? [] : [onCitus ? tableOfShard(name) : name])),
  ),
];
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
    await eachPlan(statement(), 'one', (nodes) => {
      expectIndexed(nodes);
      expect(relationsOf(nodes)).toEqual([`${table}_${monthName(monthOf(testNow))}`]);
      expect(touched(nodes)).toBe(rows);
    });
  });

  // A shard is chosen by the value of its bucket, so a cluster makes no plan without it.
  test.skipIf(onCitus)('also as a generic plan, which the server may choose for a prepared statement', async () => {
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
  test('order numbers are index look-ups, one alone and several', async () => {
    const key = { kind: 'number' as const, key: `N${25 * rowsAMonth}`, customerId: 'C500', bucket: bucketOf('C500') };
    for (const keys of [[key], [key, { ...key, key: 'there is none' }]])
      await eachPlan(selectOrderKeys(keys), 'one', (nodes) => {
        expectIndexed(nodes);
        expect(touched(nodes)).toBeLessThanOrEqual(1);
      });
  });

  test('an event key is looked for in the partition of its order alone', async () => {
    await eachPlan(knownEvents([{ orderId: someId, eventKey: 'event' }]), 'one', (nodes) => {
      expectIndexed(nodes);
      expect(relationsOf(nodes)).toEqual([`order_statuses_${monthName(monthOf(testNow))}`]);
    });
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
      await eachPlan(ordersPage(selection as OrderSelection, { ...span, direction }, limit), 'all', (nodes) => {
        expectIndexed(nodes);
        const sorted = nodes.filter((node) => node['Node Type'].includes('Sort'));
        if (onCitus && sorted.length > 0) {
          // One shard of four has so few of a status in the whole span that sorting them is as good.
          expect(touched(nodes)).toBeLessThanOrEqual(0.05 * rowsAMonth * (80 / 30) * 0.5);
          return;
        }
        expect(sorted).toEqual([]);
        expect(touched(nodes)).toBeLessThanOrEqual(limit + months.length);
      });
    }
  });

  test('of several statuses merges one ordered part each', async () => {
    const page = ordersPage({ ...all, statuses: ['cancelled', 'pending'] }, { ...recent, direction: 'newest' }, limit);
    await eachPlan(page, 'all', (nodes) => {
      expectIndexed(nodes);
      expect(touched(nodes)).toBeLessThanOrEqual(2 * (limit + months.length));
      for (const node of nodes)
        if (node['Node Type'].includes('Sort')) expect(node['Actual Rows']).toBeLessThanOrEqual(2 * limit);
    });
  });

  test('of a customer reads that customer only, over all months', async () => {
    for (const statuses of [[], ['complete']] as OrderSelection['statuses'][]) {
      await eachPlan(
        ordersPage({ statuses, customer }, { ...everywhere, direction: 'newest' }, limit),
        'one',
        (nodes) => {
          expectIndexed(nodes);
          expect(touched(nodes)).toBeLessThanOrEqual(35);
          // A customer has few rows in a month: some may be sorted, never those of others.
          for (const node of nodes)
            if (node['Node Type'].includes('Sort')) expect(node['Actual Rows']).toBeLessThanOrEqual(limit);
        },
      );
    }
  });

  test('by number reads no more than the rows before it; a count no more than its bound', async () => {
    const selection: OrderSelection = { ...all, statuses: ['complete'] };
    // Nine of ten orders are complete: reading all by id and leaving the tenth out is as good as the index by status.
    const mostly = 1.2;
    for (const [statement, rows] of [
      [orderIdAt(selection, { ...everywhere, direction: 'newest' }, 3_000), 3_001],
      [countOrders(selection, { ...everywhere, direction: 'newest' }, 5_001), 5_001],
    ] as const)
      await eachPlan(statement, 'all', (nodes) => {
        expectIndexed(nodes);
        expect(touched(nodes)).toBeLessThanOrEqual(mostly * rows);
      });
  });
});

describe('a histogram', () => {
  const dayMs = 86_400_000;

  test('opens the months of its range and no other; of a customer it reads that customer only', async () => {
    const span = idSpan(Date.UTC(2025, 3, 10) as Instant, Date.UTC(2025, 4, 20) as Instant);
    await eachPlan(histogramOf(all, span, 'hour'), 'all', (nodes) => {
      expect(relationsOf(nodes).sort()).toEqual(['orders_2025_04', 'orders_2025_05']);
      // Groups are sorted, orders never: there may be any number of them.
      const groups = nodes.find((node) => node['Node Type'] === 'Aggregate')?.['Actual Rows'] ?? 0;
      expect(groups).toBeGreaterThan(0);
      for (const node of nodes)
        if (node['Node Type'].includes('Sort')) expect(node['Actual Rows']).toBeLessThanOrEqual(groups);
      expect(groups).toBeLessThan(touched(nodes));
    });
    await eachPlan(histogramOf({ statuses: [], customer }, idSpan(null, null), 'day'), 'one', (nodes) => {
      expectIndexed(nodes.filter((node) => node['Relation Name'] !== undefined));
      expect(touched(nodes)).toBeLessThanOrEqual(35);
    });
  });

  test('of an hour or of a rare status is no scan of the month', async () => {
    const to = testNow - 10 * dayMs;
    const hour = histogramOf(all, idSpan((to - 3_600_000) as Instant, to as Instant), 'hour');
    await eachPlan(hour, 'all', (nodes) => {
      expectIndexed(nodes.filter((node) => node['Relation Name'] !== undefined));
      expect(touched(nodes)).toBeLessThanOrEqual(10);
    });
    const week = idSpan((to - 7 * dayMs) as Instant, to as Instant);
    await eachPlan(histogramOf({ ...all, statuses: ['cancelled'] }, week, 'day'), 'all', (nodes) => {
      expectIndexed(nodes.filter((node) => node['Relation Name'] !== undefined));
      expect(touched(nodes)).toBeLessThanOrEqual((7 / 30) * rowsAMonth * 0.06);
    });
  });
});
