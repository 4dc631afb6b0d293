import { beforeAll, describe, expect, test } from 'vitest';
import { dayMs, type Instant } from '../../core/time.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { shardPlans } from '../../testing/shard-plans.ts';
import { everyShipment } from '../../testing/test-shipment-rows.ts';
import type { ShipmentFilter } from './shipment.ts';
import { defaultSilentMs } from './shipment-attention.ts';
import { accessOf } from './shipment-conditions-queries.ts';
import { listOrderOf, type ShipmentPosition } from './shipment-list.ts';
import { countShipments, endOfScan, nextCountryOfCity, shipmentsPage } from './shipment-list-queries.ts';
import { shipmentByKey } from './shipments-queries.ts';
import { bucketOfShipment } from './tracking-key.ts';

const { db } = await openTestDatabase({ statementTimeoutMs: 60_000 });

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

type Explained = { readonly 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }] };

interface Executed {
  readonly rows: number;
  /** Rows that scans of tables touched, those a filter threw away included; on Citus of the shard that touched most. */
  readonly touched: number;
  readonly scans: readonly string[];
}

/**
 * Runs it with one plan for all values, as the read connections do (storage/read-clients.ts), or as counts are; on Citus with a plan
 * for these values, and each shard with one of its own.
 */
async function explained({ text, values }: Statement<unknown>, how: 'read' | 'count'): Promise<PlanNode> {
  const explain = 'explain (analyze, timing off, format json)';
  const [row] = await db.session(async (session) => {
    if (onCitus) {
      await session.script('set citus.explain_all_tasks = on');
      return session.run<Explained>({ text: `${explain} ${text}`, values });
    }
    if (how === 'read')
      await session.script(
        'set plan_cache_mode = force_generic_plan; set enable_sort = off; set enable_bitmapscan = off; set enable_seqscan = off',
      );
    else await session.script('set enable_seqscan = off; set enable_bitmapscan = off');
    await session.script(`prepare p as ${text}`);
    const list = values.length === 0 ? '' : `(${values.map(literal).join(', ')})`;
    return session.run<Explained>({ text: `${explain} execute p${list}`, values: [] });
  });
  if (row === undefined) throw new Error('no plan');
  return row['QUERY PLAN'][0].Plan;
}

async function executed(statement: Statement<unknown>, how: 'read' | 'count' = 'read'): Promise<Executed> {
  const plan = await explained(statement, how);
  const flat = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flat)];
  const scans = (onCitus ? shardPlans<PlanNode>(plan) : [plan]).map((one) =>
    flat(one).filter((node) => node['Relation Name'] !== undefined && node['Actual Loops'] > 0),
  );
  const touched = scans.map((nodes) =>
    nodes.reduce(
      (sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
      0,
    ),
  );
  return {
    rows: plan['Actual Rows'],
    touched: Math.max(...touched),
    scans: scans.flat().map((node) => node['Node Type']),
  };
}

/**
 * The settings of the read connections do not reach the nodes of a cluster: a shard may find more rows by a bitmap and sort them rather
 * than walk an index that is in order, where that is cheaper for it. The more rows there are, the less it is.
 */
const sorting = onCitus ? 4 : 1;
const isDear = (scan: string): boolean => (onCitus ? scan === 'Seq Scan' : !scan.startsWith('Index'));

function literal(value: unknown): string {
  if (Array.isArray(value)) return `array[${value.map(literal).join(', ')}]::text[]`;
  return value === null ? 'null' : `'${String(value).replaceAll("'", "''")}'`;
}

const now = Date.parse('2026-11-21T08:00:00Z') as Instant;
const count = 200_000;

beforeAll(async () => {
  // What a merchant has, not a uniform toy: nine of ten delivered, some on the way, a handful in trouble or forgotten, one carrier
  // with three shipments, one place of a well-known name in another country.
  await db.query(
    dynamic(sql`insert into shipments (tracking_key, carrier_key, bucket, shipment_id, carrier, tracking_number, receiver_address, receiver_city,
        receiver_country, receiver_city_key, currency, order_id, expected_on, status, status_code, status_at, status_seq, last_seq, moved_at, version, created_at, updated_at)
      select number, carrier, bucket, id, carrier, number, 'Street', city, country, city, 'EUR', case when n % 2 = 0 then id end,
             case when ended and n % 5000 <> 7 then created::date + 4 when n % 2 = 0 then date '2026-11-23' end,
             status, status, created, 1, 1, case when n % 7000 = 5 then created when ended then created + interval '2 days' else timestamptz '2026-11-20' end,
             2, created, created + interval '3 days'
        from (select made.*, bucket_of(carrier || '/' || number) as bucket, status in ('delivered', 'returned', 'cancelled') as ended,
                     (lpad(to_hex((extract(epoch from created) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(bucket_of(carrier || '/' || number)::int), 3, '0')
                       || '8' || lpad(to_hex(n), 15, '0'))::uuid as id
                from (select n, 'TN' || n as number, timestamptz '2025-11-21' + n * interval '2 minutes' as created,
                             case when n % 70000 = 1 then 'RARE' when n % 3 = 0 then 'DHL' else 'C' || n % 11 end as carrier,
                             case when n % 50000 = 3 then 'US' when n % 4 = 0 then 'FR' else 'DE' end as country,
                             case when n % 50000 = 3 or n % 4 = 0 then 'paris' else 'town' || n % 1000 end as city,
                             case when n % 7000 = 9 then 'exception' when n % 7000 = 5 or n % 5000 = 7 then 'in_transit' when n % 90 = 2 then 'cancelled'
                                  when n > ${count - 10_000}::int and n % 3 > 0 then 'in_transit' else 'delivered' end as status
                        from generate_series(1, ${count}::int) n) made) placed`),
  );
  await db.query(
    dynamic(sql`insert into shipment_events (tracking_key, carrier_key, bucket, seq, occurred_at, code, status, new_leg, recorded_at, actor)
      select tracking_key, carrier_key, bucket, seq, created_at + seq * interval '1 hour', 'scan', 'in_transit', false, now(), 'test'
        from shipments, generate_series(1, 3) seq where tracking_key like 'TN1%'`),
  );
  await db.query(
    dynamic(sql`insert into shipment_articles (tracking_key, carrier_key, bucket, article_key, position, name, quantity)
      select tracking_key, carrier_key, bucket, 'n:' || position, position, 'Article', 1 from shipments, generate_series(1, 2) position
       where tracking_key like 'TN1%'`),
  );
  await db.session((session) => session.script('vacuum analyze shipments, shipment_events, shipment_articles'));
}, 120_000);

test('a look-up is one look into each of the three indexes', async () => {
  const { scans, touched } = await executed(shipmentByKey({ carrierKey: 'C1', trackingKey: 'TN100' }));
  expect(scans).toEqual(['Index Scan', 'Index Scan', 'Index Scan']);
  expect(touched).toBe(6);
});

const limit = 51;
const scannedRows = 5_000;
const attention = { silentMs: defaultSilentMs };
const updatedFrom = Date.parse('2026-01-01') as Instant;

const accessTo = (filter: ShipmentFilter) => accessOf(filter, now, ['DE', 'FR', 'US']);

async function page(more: Partial<ShipmentFilter>, after: ShipmentPosition | null = null) {
  const filter = { ...everyShipment, ...more };
  const walk = { order: listOrderOf(filter), direction: 'newest' as const, after };
  return {
    page: await executed(shipmentsPage(accessTo(filter), walk, { rows: limit, scannedRows })),
    end: await executed(endOfScan(accessTo(filter), walk, scannedRows)),
  };
}

/** Merging begins with one row of each stretch of an index. */
const stretches = 40;

describe('a page reads little more than the rows it shows', () => {
  test.each<[string, Partial<ShipmentFilter>, number]>([
    ['of all', {}, limit],
    ['of the status that nearly all have', { statuses: ['delivered'] }, limit],
    ['of a rare status', { statuses: ['exception'] }, 29],
    ['of several statuses', { statuses: ['exception', 'in_transit', 'cancelled'] }, limit],
    ['of a status that none has', { statuses: ['returning'] }, 0],
    ['of a carrier', { carrierKey: 'DHL' }, limit],
    ['of a carrier with few', { carrierKey: 'RARE' }, 3],
    ['of a carrier with none', { carrierKey: 'NOBODY' }, 0],
    ["of a carrier's rare status", { carrierKey: 'DHL', statuses: ['exception'] }, 10],
    ['of a country', { country: 'FR' }, limit],
    ['of a country with few', { country: 'US' }, 4],
    ['of a country with none', { country: 'ZZ' }, 0],
    ["of a country's rare status", { country: 'DE', statuses: ['exception'] }, 29],
    ['of a city', { cityKey: 'paris' }, limit],
    ['of a city of that name elsewhere', { cityKey: 'paris', country: 'US' }, 4],
    ['of a city with none', { cityKey: 'nowhere' }, 0],
    ["of a city's rare status", { cityKey: 'paris', country: 'FR', statuses: ['cancelled'] }, limit],
    ['of a number', { trackingKey: 'TN777' }, 1],
    ['of a number, followed by its changes', { trackingKey: 'TN777', updatedFrom }, 0],
    ['of a number that none has', { trackingKey: 'TN0777' }, 0],
    ['of an order with none', { orderId: '019aa4c4-f6b8-7b23-8000-00000000023d' }, 0],
    [
      'of an order with none, followed by its changes',
      { orderId: '019aa4c4-f6b8-7b23-8000-00000000023d', updatedFrom },
      0,
    ],
    ['of changes', { updatedFrom }, limit],
    ['of changes in a range', { updatedFrom, updatedTo: (updatedFrom + dayMs) as Instant }, limit],
    ['of changes that nobody made', { updatedFrom: (now + 900 * dayMs) as Instant }, 0],
    ['of those that need attention, a handful among all', { needsAttention: attention }, limit],
  ])('%s', async (_, filter, rows) => {
    const read = (await page(filter)).page;
    expect(read.rows).toBe(rows);
    expect(read.touched).toBeLessThanOrEqual(sorting * (rows + stretches));
    expect(read.scans.filter(isDear)).toEqual([]);
  });

  test('from the middle of each order', async () => {
    const [row] = await db.query(
      dynamic<{ shipmentId: ShipmentPosition['shipmentId']; at: Instant }>(
        sql`select shipment_id as "shipmentId", updated_at as at from shipments where tracking_key = ${`TN${count / 2}`}`,
      ),
    );
    if (row === undefined) throw new Error('no row');
    for (const filter of [{}, { carrierKey: 'DHL' }, { cityKey: 'paris' }]) {
      const read = (await page(filter, { ...row, at: null })).page;
      expect(read.rows).toBe(limit);
      expect(read.touched).toBeLessThanOrEqual(sorting * (limit + stretches));
    }
    const changes = (await page({ updatedFrom }, row)).page;
    expect(changes.rows).toBe(limit);
    expect(changes.touched).toBe(limit);
  });
});

describe('where no index decides the whole filter', () => {
  test.each<[string, Partial<ShipmentFilter>, number]>([
    ['a carrier in a country with none', { carrierKey: 'DHL', country: 'ZZ' }, scannedRows],
    ['a rare carrier in a city', { carrierKey: 'RARE', cityKey: 'paris', country: 'FR' }, scannedRows],
    ['changes of a rare status', { updatedFrom, statuses: ['exception'] }, scannedRows],
    // There are about 70 that need attention: all are looked at.
    ['those of a carrier that need attention', { needsAttention: attention, carrierKey: 'RARE' }, 200],
    ['those of a status that need attention', { needsAttention: attention, statuses: ['exception'] }, 200],
  ])('%s: one look is bounded, also the one that finds its end', async (_, filter, bound) => {
    const { page: read, end } = await page(filter);
    expect(read.touched).toBeLessThanOrEqual(sorting * (bound + stretches));
    expect(end.touched).toBeLessThanOrEqual(sorting * (bound + stretches));
    expect(read.scans.filter(isDear)).toEqual([]);
  });
});

test('a city is asked for its countries by one look each', async () => {
  for (const before of ['', 'FR', 'US']) {
    const { touched } = await executed(nextCountryOfCity('paris', before));
    expect(touched).toBeLessThanOrEqual(1);
  }
});

test.each<[string, Partial<ShipmentFilter>, number]>([
  ['of all', {}, 10_001],
  ['of a rare status', { statuses: ['exception'] }, 29],
  ['of a carrier with none', { carrierKey: 'NOBODY' }, 0],
  ['of a city', { cityKey: 'paris' }, 10_001],
  ['of a city with none', { cityKey: 'nowhere' }, 0],
  ['of changes', { updatedFrom }, 10_001],
  ['of those that need attention', { needsAttention: attention }, 200],
])('a count %s reads no more than its bound', async (_, filter, bound) => {
  const read = await executed(countShipments(accessTo({ ...everyShipment, ...filter }), 10_001), 'count');
  expect(read.touched).toBeLessThanOrEqual(sorting * bound);
});

test('every statement with a known key has its bucket', () => {
  const key = { carrierKey: 'C1', trackingKey: 'TN100' };
  expect(shipmentByKey(key).values).toContain(bucketOfShipment(key));
  const walk = { order: 'created', direction: 'newest', after: null } as const;
  const { text, values } = shipmentsPage(accessTo({ ...everyShipment, ...key }), walk, { rows: 1, scannedRows });
  expect(text).toContain('s.bucket = ');
  expect(values).toContain(bucketOfShipment(key));
});
