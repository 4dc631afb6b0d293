import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { newOrderId } from '../../core/ids.ts';
import type { Instant, PlainDate } from '../../core/time.ts';
import { dynamic, type Statement, sql } from '../../storage/sql.ts';
import { onCitus } from '../../testing/on-citus.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import { everyShipment, insertShipmentRows, shipmentRow } from '../../testing/test-shipment-rows.ts';
import type { ShipmentFilter } from './shipment.ts';
import { accessOf } from './shipment-conditions-queries.ts';
import { listOrderOf } from './shipment-list.ts';
import { shipmentsPage } from './shipment-list-queries.ts';
import { createShipmentReads } from './shipment-read-service.ts';
import { shipmentStatuses } from './shipment-status.ts';
import { shipmentByKey } from './shipments-queries.ts';
import { type ShipmentKey, shipmentKeyOf } from './tracking-key.ts';

const { db } = await openTestDatabase();
const reads = createShipmentReads({ db, clock: { now: () => testNow } });
const instant = (ms: number) => ms as Instant;
const orderId = newOrderId(testNow, bucketOf('C1'));

async function idsOf(filter: Partial<ShipmentFilter>): Promise<string[]> {
  const page = { filter: { ...everyShipment, ...filter }, direction: 'oldest' as const, limit: 50, after: null };
  return (await reads.listShipments(page)).items.map(({ shipmentId }) => shipmentId);
}

describe('one shipment', () => {
  const keyOf = (carrier: string, number: string) => shipmentKeyOf(carrier, number) as ShipmentKey;
  const text = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }).filter((s) => !s.includes('\0'));
  const quantity = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  const someInstant = fc.integer({ min: -60_000, max: 60_000 }).map((ms) => instant(testNow + ms));
  const article = fc.record({
    sku: fc.option(text),
    name: text,
    quantity,
    unitPrice: fc.option(fc.maxSafeNat()),
  });
  const event = fc.record({
    code: text,
    status: fc.constantFrom(...shipmentStatuses),
    newLeg: fc.boolean(),
    occurredAt: someInstant,
    recordedAt: someInstant,
    description: fc.option(text),
    city: fc.option(text),
    country: fc.option(fc.constantFrom('DE', 'somewhere')),
    actor: text,
  });
  const address = fc.record({
    address: text,
    street: fc.option(text),
    postalCode: fc.option(text),
    city: fc.option(text),
    country: fc.option(fc.constantFrom('FR', 'DE')),
  });

  test('comes back with all its articles in their order and its events newest first', async () => {
    const articleKey = ({ sku, name }: { sku: string | null; name: string }) => `${sku === null}${sku ?? name}`;
    const articles = fc.uniqueArray(article, { maxLength: 5, selector: articleKey });
    const events = fc.uniqueArray(event, { maxLength: 5, selector: (e) => `${e.occurredAt} ${e.code}` });
    let count = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.record({ given: articles, happened: events, sender: fc.option(address), receiver: fc.option(address) }),
        async ({ given, happened, sender, receiver }) => {
          const numbered = happened.map((e, i) => ({ ...e, seq: i + 1 }));
          const shipment = shipmentRow({
            carrier: 'Exact',
            trackingNumber: `E${count++}`,
            articles: given,
            events: numbered.sort((a, b) => b.occurredAt - a.occurredAt || b.seq - a.seq),
            sender,
            receiver,
            expectedOn: '2025-07-04' as PlainDate,
            orderId,
            status: 'exception',
            decidedBy: { seq: 3, code: 'Ärger', occurredAt: testNow },
            lastSeq: 5,
            version: 7,
          });
          await insertShipmentRows(db, [shipment]);
          expect(await reads.findShipment(shipment)).toEqual(shipment);
        },
      ),
      { numRuns: 40 },
    );
    await db.query(dynamic(sql`delete from shipments where carrier_key = 'EXACT'`));
  });

  test('is found in any spelling of its carrier and number, and by no other', async () => {
    const given = shipmentRow({ carrier: 'Royal-Mail 24', trackingNumber: 'rr 0012-345 gb' });
    await insertShipmentRows(db, [given]);
    for (const [carrier, number] of [
      ['Royal-Mail 24', 'rr 0012-345 gb'],
      ['ROYALMAIL24', 'RR0012345GB'],
      [' royal mail\u201324 ', 'Rr-00 12\u00a0345\u2010GB'],
      ['Ｒoyal Mail ２4', 'RR００12345GB'],
    ] as const) {
      expect(await reads.getShipment(keyOf(carrier, number))).toMatchObject({
        carrier: 'Royal-Mail 24',
        trackingNumber: 'rr 0012-345 gb',
      });
    }
    expect(await reads.findShipment(keyOf('Royal Mail 24', 'RR12345GB'))).toBeNull();
    expect(await reads.findShipment(keyOf('Royal Mail', '24 RR0012345GB'))).toBeNull();
    await expect(reads.getShipment(keyOf('DHL', 'RR0012345GB'))).rejects.toMatchObject({ code: 'shipment_not_found' });
    await db.query(dynamic(sql`delete from shipments where carrier_key = 'ROYALMAIL24'`));
  });

  test('with the same number at two carriers is two shipments, and the number alone lists both', async () => {
    const [dhl, ups] = [
      shipmentRow({ carrier: 'DHL', trackingNumber: '7-7 7' }),
      shipmentRow({ carrier: 'UPS', trackingNumber: '777' }),
    ];
    await insertShipmentRows(db, [dhl, ups]);
    expect((await reads.getShipment(keyOf('dhl', '777'))).shipmentId).toBe(dhl.shipmentId);
    expect((await reads.getShipment(keyOf('ups', '77-7'))).shipmentId).toBe(ups.shipmentId);
    expect(await idsOf({ trackingKey: '777' })).toEqual([dhl.shipmentId, ups.shipmentId].sort());
    expect(await idsOf({ trackingKey: '777', carrierKey: 'UPS' })).toEqual([ups.shipmentId]);
    await db.query(dynamic(sql`delete from shipments where tracking_key = '777'`));
  });
});

// A shard plans each statement anew, for the rows that are there then: on Citus no plan stays.
describe.skipIf(onCitus)('a plan from the time when there were few shipments', () => {
  const key = { carrierKey: 'FEW', trackingKey: '1' };
  beforeAll(async () => {
    await insertShipmentRows(db, [shipmentRow({ carrier: 'Few', trackingNumber: '1' })]);
    await db.session((session) => session.script('vacuum analyze shipments, shipment_articles, shipment_events'));
  });
  afterAll(() => db.query(dynamic(sql`delete from shipments where carrier_key = 'FEW'`)));

  /** The indexes that a read connection goes by, each once; `Seq Scan` is none. */
  async function waysOf({ text, values }: Statement<unknown>): Promise<string[]> {
    const plan = await db.read<{ 'QUERY PLAN': string }>({ text: `explain (costs off) ${text}`, values });
    const scans = plan.map((line) => line['QUERY PLAN']).filter((line) => /(Index|Index Only|Seq) Scan/.test(line));
    return [...new Set(scans.map((line) => /using (\w+)/.exec(line)?.[1] ?? line))];
  }

  test('looks a shipment up by its keys', async () => {
    expect(await waysOf(shipmentByKey(key))).toEqual([
      'shipments_pkey',
      'shipment_articles_pkey',
      'shipment_events_pkey',
    ]);
  });

  test.each<[string, Partial<ShipmentFilter>]>([
    ['shipments_status', {}],
    ['shipments_status', { statuses: ['exception'] }],
    ['shipments_carrier', { carrierKey: 'FEW' }],
    ['shipments_carrier', { carrierKey: 'FEW', country: 'FR', statuses: ['delivered'] }],
    ['shipments_country', { country: 'FR' }],
    ['shipments_city', { cityKey: 'paris' }],
    ['shipments_city', { cityKey: 'paris', country: 'FR', carrierKey: 'FEW' }],
    ['shipments_order', { orderId, carrierKey: 'FEW' }],
    ['shipments_pkey', { ...key, updatedFrom: testNow }],
    ['shipments_updated', { updatedFrom: testNow, carrierKey: 'FEW', statuses: ['delivered'] }],
    ['shipments_attention', { needsAttention: { silentMs: 1 }, carrierKey: 'FEW', statuses: ['exception'] }],
  ])('lists by %s: %j', async (index, more) => {
    const filter = { ...everyShipment, ...more };
    const walk = { order: listOrderOf(filter), direction: 'newest', after: null } as const;
    const size = { rows: 51, scannedRows: 5_000 };
    expect(await waysOf(shipmentsPage(accessOf(filter, testNow, ['FR', 'US']), walk, size))).toEqual([index]);
  });
});
