import { afterAll } from 'vitest';
import type { Currency } from '../core/money.ts';
import type { Instant } from '../core/time.ts';
import { type NewEvent, type NewShipment, toldAddress } from '../domains/shipments/shipment.ts';
import type { EventToRecord } from '../domains/shipments/shipment-events-service.ts';
import type { ShipmentToWrite } from '../domains/shipments/shipment-write-service.ts';
import { createShipments, type Shipments } from '../domains/shipments/shipments-service.ts';
import { type ShipmentKey, shipmentKeyOf } from '../domains/shipments/tracking-key.ts';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';
import { openTestDatabase } from './open-database.ts';
import { createTestClock, type TestClock } from './test-clock.ts';

export interface TestShipments {
  readonly db: Database;
  readonly url: string;
  readonly clock: TestClock;
  readonly shipments: Shipments;
  /** Every key that a commit was told of, in order. */
  readonly told: ShipmentKey[];
  /** The domain once more on another client, as another server has it. */
  shipmentsOn(db: Database): Shipments;
}

/** A database, a clock that stands still, and the shipments domain on it. */
export async function openTestShipments(): Promise<TestShipments> {
  const { db, url } = await openTestDatabase();
  const clock = createTestClock();
  const told: ShipmentKey[] = [];
  const onChange = (keys: readonly ShipmentKey[]): void => {
    for (const { carrierKey, trackingKey } of keys) told.push({ carrierKey, trackingKey });
  };
  const shipmentsOn = (other: Database): Shipments => {
    const made = createShipments({
      db: other,
      clock,
      defaultCurrency: 'EUR' as Currency,
      groupCommit: true,
      onChange,
    });
    afterAll(() => made.drain());
    return made;
  };
  return { db, url, clock, told, shipmentsOn, shipments: shipmentsOn(db) };
}

/** The key of a carrier and a number. @throws RangeError for what is no key */
export function shipmentKey(carrier: string, trackingNumber: string): ShipmentKey {
  const key = shipmentKeyOf(carrier, trackingNumber);
  if (key === null) throw new RangeError(`${carrier}/${trackingNumber} is no key.`);
  return key;
}

/** Builders: each test says only what matters to it. */
const givenShipment = (more: Partial<NewShipment> = {}): NewShipment => {
  const { carrier = 'DHL', trackingNumber = 'TN1' } = more;
  return {
    ...shipmentKey(carrier, trackingNumber),
    carrier,
    trackingNumber,
    sender: toldAddress('Street 1, 10115 Berlin, Germany'),
    receiver: toldAddress('Street 10, 75001 Paris, France'),
    currency: null,
    orderId: null,
    expectedOn: null,
    articles: [{ sku: 'A', name: 'Laptop', quantity: 1, unitPrice: 80_000 }],
    events: [],
    ...more,
  };
};

export const shipmentToWrite = (more: Partial<NewShipment> = {}): ShipmentToWrite => ({
  shipment: givenShipment(more),
  actor: 'test',
});

export const givenEvent = (code: string, occurredAt: number | null = null): NewEvent => ({
  code,
  occurredAt: occurredAt as Instant | null,
  description: null,
  city: null,
  country: null,
});

/** An event of the shipment DHL TN1, or of another. */
export const eventToRecord = (
  code: string,
  occurredAt: number | null = null,
  key: ShipmentKey = shipmentKey('DHL', 'TN1'),
): EventToRecord => ({ key, event: givenEvent(code, occurredAt), actor: 'test' });

export const clearShipments = (db: Database) =>
  db.query(dynamic(sql`truncate shipments, shipment_articles, shipment_events`));

/**
 * What must hold of any database, written out in SQL apart from the code: articles and events have their shipment, seqs have no
 * gaps, and the status is the one that the newest event gives where nothing was delivered before it.
 * @returns the faults found, none if all is well
 */
export const shipmentInconsistencies = (db: Database): Promise<{ fault: string; key: string }[]> =>
  db.query(
    dynamic(sql`
      select 'article without shipment' as fault, a.carrier_key || ' ' || a.tracking_key as key
        from shipment_articles a left join shipments s using (tracking_key, carrier_key, bucket) where s.shipment_id is null
      union all
      select 'event without shipment', e.carrier_key || ' ' || e.tracking_key
        from shipment_events e left join shipments s using (tracking_key, carrier_key, bucket) where s.shipment_id is null
      union all
      select 'gap in the events', carrier_key || ' ' || tracking_key
        from shipment_events group by tracking_key, carrier_key having min(seq) <> 1 or max(seq) <> count(*) or count(distinct seq) <> count(*)
      union all
      select 'last_seq', s.carrier_key || ' ' || s.tracking_key from shipments s
       where s.last_seq <> (select coalesce(max(seq), 0) from shipment_events e where (e.tracking_key, e.carrier_key, e.bucket) = (s.tracking_key, s.carrier_key, s.bucket))
      union all
      select 'decided by an event that is not there', s.carrier_key || ' ' || s.tracking_key from shipments s
       where s.status_seq is not null and not exists (select from shipment_events e
         where (e.tracking_key, e.carrier_key, e.bucket) = (s.tracking_key, s.carrier_key, s.bucket)
           and (e.seq, e.status, e.code, e.occurred_at) = (s.status_seq, s.status, s.status_code, s.status_at))
      union all
      select 'not the newest event', s.carrier_key || ' ' || s.tracking_key from shipments s
        join lateral (select * from shipment_events e where (e.tracking_key, e.carrier_key, e.bucket) = (s.tracking_key, s.carrier_key, s.bucket)
          order by (status <> 'unknown') desc, occurred_at desc, seq desc limit 1) w on true
       where s.status_seq is distinct from w.seq and not exists (select from shipment_events e
         where (e.tracking_key, e.carrier_key, e.bucket) = (s.tracking_key, s.carrier_key, s.bucket) and e.status = 'delivered')`),
  );
