import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { newOrderId, type OrderId } from '../../core/ids.ts';
import { dayMs, type Instant, plainDateOf } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openTestDatabase } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import { everyShipment, insertShipmentRows, shipmentRow } from '../../testing/test-shipment-rows.ts';
import { type Address, cityKey, type Shipment, type ShipmentDetail, type ShipmentFilter } from './shipment.ts';
import { attentionFrom, attentionOf, defaultSilentMs } from './shipment-attention.ts';
import { type Direction, formatPosition, listOrderOf, parsePosition, type ShipmentPosition } from './shipment-list.ts';
import { createShipmentReads, type ShipmentReads } from './shipment-read-service.ts';
import { isEnded, type ShipmentStatus, shipmentStatuses } from './shipment-status.ts';
import { normalisedName } from './tracking-key.ts';

const { db } = await openTestDatabase();
const clock = { now: () => testNow };
const reads = createShipmentReads({ db, clock });
// Looks so short that most pages need several, and many end without being full.
const shortSighted = createShipmentReads({ db, clock, scannedRows: 7 });

const carriers = ['DHL', 'U-PS', 'dpd', 'Royal Mail'];
const cities = [null, 'Paris', 'Zürich', 'São Paulo', 'PARIS'];
const countries = [null, 'FR', 'US', 'CH'];
const orders = Array.from({ length: 4 }, (_, i) => newOrderId((testNow - i) as Instant, bucketOf(`C${i}`)));
const pick = <T>(values: readonly T[], i: number): T => values[i % values.length] as T;
const instant = (ms: number) => ms as Instant;

/** Number `i` of some hundred: many share an instant, a number, a place, an order. */
function sample(i: number): ShipmentDetail {
  // A generator with a seed of its own: the same rows in every run.
  const roll = (salt: number) => Math.imul(i * 2_654_435_761 + salt * 40_503, 1_597_334_677) >>> 8;
  const status = pick([...shipmentStatuses, 'in_transit', 'exception', 'delivered'] as const, roll(1));
  const city = pick(cities, roll(2));
  const country = pick(countries, roll(3));
  const receiver: Address | null =
    roll(4) % 9 === 0 ? null : { address: `Street ${i}`, street: null, postalCode: null, city, country };
  const createdAt = instant(testNow - (roll(5) % 40) * dayMs);
  const movedAt = instant(testNow - (roll(6) % 12) * dayMs - (roll(7) % 3));
  return shipmentRow({
    carrier: pick(carriers, i),
    trackingNumber: `00 ${Math.floor(i / 3)}`,
    receiver,
    orderId: roll(8) % 3 === 0 ? pick(orders, roll(9)) : null,
    expectedOn: roll(10) % 2 === 0 ? null : plainDateOf(instant(testNow + ((roll(11) % 20) - 10) * dayMs)),
    status,
    decidedBy: status === 'pre_transit' ? null : { seq: 1, code: status, occurredAt: movedAt },
    lastSeq: 1,
    movedAt,
    createdAt,
    updatedAt: instant(testNow - (roll(12) % 15) * dayMs),
  });
}

const stored: ShipmentDetail[] = [];
beforeAll(async () => {
  for (let i = 0; i < 400; i++) stored.push(sample(i));
  await insertShipmentRows(db, stored);
});

const selects = (filter: ShipmentFilter, shipment: Shipment): boolean => {
  const { receiver } = shipment;
  return (
    (filter.trackingKey === null || shipment.trackingKey === filter.trackingKey) &&
    (filter.carrierKey === null || shipment.carrierKey === filter.carrierKey) &&
    (filter.statuses.length === 0 || filter.statuses.includes(shipment.status)) &&
    (filter.cityKey === null || (receiver?.city != null && cityKey(receiver.city) === filter.cityKey)) &&
    (filter.country === null || receiver?.country === filter.country) &&
    (filter.orderId === null || shipment.orderId === filter.orderId) &&
    (filter.needsAttention === null || attentionOf(shipment, { now: testNow, ...filter.needsAttention }).length > 0) &&
    (filter.updatedFrom === null || shipment.updatedAt >= filter.updatedFrom) &&
    (filter.updatedTo === null || shipment.updatedAt < filter.updatedTo)
  );
};

function expected(filter: ShipmentFilter, direction: Direction): string[] {
  const at = { created: () => 0, updated: (s: Shipment) => s.updatedAt, attention: attentionFrom }[listOrderOf(filter)];
  const sign = listOrderOf(filter) === 'created' && direction === 'newest' ? -1 : 1;
  const byId = (a: Shipment, b: Shipment) => (a.shipmentId < b.shipmentId ? -sign : sign);
  const found = stored.filter((shipment) => selects(filter, shipment));
  return found.sort((a, b) => at(a) - at(b) || byId(a, b)).map(({ shipmentId }) => shipmentId);
}

async function walk(from: ShipmentReads, filter: ShipmentFilter, page: { direction: Direction; limit: number }) {
  const seen: string[] = [];
  for (let after: ShipmentPosition | null = null; ; ) {
    const { items, next }: Awaited<ReturnType<ShipmentReads['listShipments']>> = await from.listShipments({
      filter,
      after,
      ...page,
    });
    expect(items.length).toBeLessThanOrEqual(page.limit);
    seen.push(...items.map(({ shipmentId }) => shipmentId));
    if (next === null) return seen;
    expect(next).not.toEqual(after);
    // As a cursor carries it.
    after = parsePosition(formatPosition(next), listOrderOf(filter));
    expect(after).toEqual(next);
  }
}

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 2 });
const days = fc.integer({ min: -16, max: 2 }).map((day) => instant(testNow + day * dayMs));
const someFilter: fc.Arbitrary<ShipmentFilter> = fc.record({
  trackingKey: fc.option(
    fc.integer({ min: 0, max: 150 }).map((n) => `00${n}`),
    { freq: 6 },
  ),
  carrierKey: maybe(fc.constantFrom(...carriers.map(normalisedName), 'NOBODY')),
  statuses: fc.oneof(fc.constant([]), fc.subarray<ShipmentStatus>([...shipmentStatuses])),
  cityKey: maybe(fc.constantFrom('paris', 'zurich', 'sao paulo', 'nowhere')),
  country: maybe(fc.constantFrom('FR', 'US', 'CH', 'ZZ')),
  orderId: fc.option(fc.constantFrom<OrderId>(...orders), { freq: 6 }),
  needsAttention: maybe(fc.constantFrom(1, 4, 5, 9).map((n) => ({ silentMs: n * dayMs }))),
  updatedFrom: maybe(days),
  updatedTo: maybe(days),
});
// Most conditions null, so that filters with few of them are tried as often as those that select nothing.
const sparse = fc.tuple(
  someFilter,
  fc.subarray(Object.keys(everyShipment) as (keyof ShipmentFilter)[], { maxLength: 3 }),
);
const filters = sparse.map(([filter, kept]) => ({
  ...everyShipment,
  ...Object.fromEntries(kept.map((k) => [k, filter[k]])),
}));

describe('a list', () => {
  // Thousands of pages: a cluster takes minutes for them.
  test.each([
    ['reads', reads],
    ['reads that look at few rows at once', shortSighted],
  ] as const)('walked to its end has every shipment once, in order: %s', { timeout: 600_000 }, async (_, from) => {
    await fc.assert(
      fc.asyncProperty(
        filters,
        fc.constantFrom<Direction>('newest', 'oldest'),
        fc.constantFrom(1, 3, 10, 49, 500),
        async (filter, direction, limit) => {
          fc.pre(limit > 1 || expected(filter, direction).length < 60);
          expect(await walk(from, filter, { direction, limit })).toEqual(expected(filter, direction));
        },
      ),
      { numRuns: 120 },
    );
  });

  test('counts are those of the list', async () => {
    await fc.assert(
      fc.asyncProperty(filters, async (filter) => {
        const count = expected(filter, 'newest').length;
        expect(await reads.countShipments(filter)).toEqual({ count, precision: 'exact' });
      }),
      { numRuns: 60 },
    );
  });

  test('brings the shipments as they are stored', async () => {
    const { items } = await reads.listShipments({
      filter: everyShipment,
      direction: 'oldest',
      limit: 400,
      after: null,
    });
    const byId = new Map(stored.map((shipment) => [shipment.shipmentId, shipment]));
    expect(items).toHaveLength(400);
    for (const shipment of items)
      expect({ ...byId.get(shipment.shipmentId), ...shipment }).toEqual(byId.get(shipment.shipmentId));
  });

  test('in batches is the same list', async () => {
    const ids: string[] = [];
    const filter = { ...everyShipment, needsAttention: { silentMs: defaultSilentMs } };
    for await (const batch of shortSighted.streamShipments(filter, 'newest'))
      ids.push(...batch.map((s) => s.shipmentId));
    expect(ids).toEqual(expected(filter, 'newest'));
    expect(ids.length).toBeGreaterThan(20);
  });
});

describe('a list that is walked while shipments change', () => {
  const touch = (shipment: Shipment, updatedAt: number) =>
    db.query(
      dynamic(sql`update shipments set updated_at = ${new Date(updatedAt)} where tracking_key = ${shipment.trackingKey}
        and carrier_key = ${shipment.carrierKey}`),
    );

  test('by its changes brings what changed again, and the rest once', async () => {
    const filter = { ...everyShipment, updatedFrom: instant(testNow - 100 * dayMs) };
    const page = { filter, direction: 'newest' as const, limit: 50 };
    const first = await reads.listShipments({ ...page, after: null });
    const seenOne = first.items[3] as Shipment;
    const unseenOne = stored.find((s) => s.updatedAt === testNow) as Shipment;
    try {
      await touch(seenOne, testNow + 1);
      await touch(unseenOne, testNow + 2);
      const seen = first.items.map((s) => s.shipmentId);
      for (let { next } = first; next !== null; ) {
        const following = await reads.listShipments({ ...page, after: next });
        seen.push(...following.items.map((s) => s.shipmentId));
        next = following.next;
      }
      expect(seen.slice(-2)).toEqual([seenOne.shipmentId, unseenOne.shipmentId]);
      expect(seen).toHaveLength(stored.length + 1);
      expect(new Set(seen).size).toBe(stored.length);
    } finally {
      await touch(seenOne, seenOne.updatedAt);
      await touch(unseenOne, unseenOne.updatedAt);
    }
  });

  test('by creation skips and repeats none, whatever is updated or made meanwhile', async () => {
    const page = { filter: everyShipment, direction: 'newest' as const, limit: 30 };
    const first = await reads.listShipments({ ...page, after: null });
    const changed = first.items[29] as Shipment;
    const made = shipmentRow({ carrier: 'Newcomer', trackingNumber: '1', createdAt: instant(testNow + dayMs) });
    try {
      await touch(changed, testNow + 5);
      await insertShipmentRows(db, [made]);
      const seen = first.items.map((s) => s.shipmentId as string);
      for (let { next } = first; next !== null; ) {
        const following = await reads.listShipments({ ...page, after: next });
        seen.push(...following.items.map((s) => s.shipmentId));
        next = following.next;
      }
      expect(seen).toEqual(expected(everyShipment, 'newest'));
    } finally {
      await touch(changed, changed.updatedAt);
      await db.query(dynamic(sql`delete from shipments where carrier_key = 'NEWCOMER'`));
    }
  });
});

describe('who needs attention', () => {
  test('stands in the list longest first, each with a reason', async () => {
    const filter = { ...everyShipment, needsAttention: { silentMs: defaultSilentMs } };
    const { items } = await reads.listShipments({ filter, direction: 'newest', limit: 500, after: null });
    const since = items.map(attentionFrom);
    expect(since).toEqual([...since].sort((a, b) => a - b));
    for (const shipment of items) {
      expect(attentionOf(shipment, { now: testNow, silentMs: defaultSilentMs })).not.toEqual([]);
      expect(isEnded(shipment.status)).toBe(false);
    }
    const reasons = new Set(items.flatMap((s) => attentionOf(s, { now: testNow, silentMs: defaultSilentMs })));
    expect([...reasons].sort()).toEqual(['exception', 'late', 'silent']);
  });
});
