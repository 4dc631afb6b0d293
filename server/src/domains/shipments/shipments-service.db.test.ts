import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { bucketOfId, timeOfId } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import { minuteMs, type PlainDate } from '../../core/time.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { openCommitCutter } from '../../testing/commit-cutter.ts';
import { createTestClient } from '../../testing/open-database.ts';
import { testNow } from '../../testing/test-clock.ts';
import {
  clearShipments,
  eventToRecord,
  givenEvent,
  openTestShipments,
  shipmentInconsistencies,
  shipmentKey,
  shipmentToWrite,
} from '../../testing/test-shipments.ts';
import { toldAddress } from './shipment.ts';
import type { ShipmentOutcome, WriteMethod } from './shipment-batch-service.ts';
import type { EventOutcome } from './shipment-events-service.ts';
import { createShipmentWriter, type ShipmentToWrite } from './shipment-write-service.ts';

const { db, url, clock, shipments, told, shipmentsOn } = await openTestShipments();
const methods: WriteMethod[] = ['insert', 'copy'];
const write = (rows: readonly ShipmentToWrite[], by: WriteMethod = 'insert') => shipments.writer.write(rows, { by });
const kindsOf = (outcomes: readonly (ShipmentOutcome | EventOutcome)[]) => outcomes.map(({ kind }) => kind);
const key = shipmentKey('DHL', 'TN1');
const minutes = (count: number): number => testNow + count * minuteMs;

beforeEach(async () => {
  clock.set(testNow);
  await clearShipments(db);
  told.length = 0;
});
afterEach(async () => {
  expect(await shipmentInconsistencies(db)).toEqual([]);
});

describe.each(methods)('a shipment written by %s', (by) => {
  test('is stored as it was sent, with its home, its addresses read and its status derived', async () => {
    const sent = {
      carrier: 'Déutsche "Post"\t漢字',
      trackingNumber: '00-12 \\N 🛒',
      sender: toldAddress('Street 1, 10115 Berlin, Germany'),
      receiver: toldAddress('\\N\n1 Rue, 75001 Saint-Ouen, France'),
      orderId: '0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60',
      expectedOn: '2025-07-02' as PlainDate,
      articles: [
        { sku: 'NULL', name: '\\N', quantity: 2, unitPrice: Number.MAX_SAFE_INTEGER },
        { sku: null, name: 'Mouse', quantity: 2 ** 31 - 1, unitPrice: null },
      ],
      events: [givenEvent('out for delivery', minutes(-1)), givenEvent('Inbound-Scan', minutes(-5))],
    };
    const [outcome] = await write([shipmentToWrite(sent)], by);
    if (outcome?.kind !== 'created') throw new Error('not created');
    const { shipment } = outcome;
    expect(shipment).toMatchObject({
      ...sent,
      events: [
        { code: 'out for delivery', seq: 1 },
        { code: 'Inbound-Scan', seq: 2, status: 'in_transit' },
      ],
      sender: { street: 'Street 1', postalCode: '10115', city: 'Berlin', country: 'DE' },
      receiver: { postalCode: '75001', city: 'Saint-Ouen', country: 'FR' },
      currency: 'EUR',
      status: 'out_for_delivery',
      decidedBy: { seq: 1, code: 'out for delivery', occurredAt: minutes(-1) },
      movedAt: minutes(-1),
      version: 1,
      createdAt: testNow,
    });
    const home = bucketOf(`${shipment.carrierKey}/${shipment.trackingKey}`);
    expect([timeOfId(shipment.shipmentId), bucketOfId(shipment.shipmentId)]).toEqual([testNow, home]);
    expect(await shipments.findShipment(shipment)).toEqual(shipment);
  });

  test('sent again it is a replay, with another content it is refused, and nothing is written', async () => {
    const sent = shipmentToWrite({ trackingNumber: 'TN 1' });
    await write([sent], by);
    const stored = await shipments.getShipment(key);
    // The same to whoever compares: a number as somebody else writes it.
    const again = shipmentToWrite({ trackingNumber: 'tn-1' });
    const other = shipmentToWrite({ articles: [] });
    expect(await write([again, other, sent], by)).toEqual([
      { kind: 'replayed', key, eventsAdded: 0 },
      { kind: 'refused', code: 'shipment_key_reused', key },
      { kind: 'replayed', key, eventsAdded: 0 },
    ]);
    expect(await shipments.getShipment(key)).toEqual(stored);
  });

  test('a replay adds the events that are missing', async () => {
    const first = givenEvent('in_transit', minutes(-9));
    await write([shipmentToWrite({ events: [first] })], by);
    const more = [first, givenEvent('delivered', minutes(-1)), givenEvent('without a time')];
    const outcomes = await write([shipmentToWrite({ events: more }), shipmentToWrite({ trackingNumber: 'TN2' })], by);
    expect(outcomes).toMatchObject([{ kind: 'replayed', eventsAdded: 1 }, { kind: 'created' }]);
    expect(await shipments.getShipment(key)).toMatchObject({ status: 'delivered', version: 2, lastSeq: 2 });
  });

  test('the same key twice in a batch is one shipment; the same number at two carriers is two', async () => {
    const rows = [
      shipmentToWrite(),
      shipmentToWrite(),
      shipmentToWrite({ articles: [] }),
      shipmentToWrite({ carrier: 'UPS' }),
    ];
    expect(kindsOf(await write(rows, by))).toEqual(['created', 'replayed', 'refused', 'created']);
    expect(told).toEqual([key, shipmentKey('UPS', 'TN1')]);
  });

  test('one that the database refuses is refused alone, one from the future too', async () => {
    // A quantity that no integer holds: the API lets none through.
    const bad = shipmentToWrite({
      trackingNumber: 'BAD',
      articles: [{ sku: 'A', name: 'A', quantity: 2 ** 40, unitPrice: 1 }],
    });
    const early = shipmentToWrite({ trackingNumber: 'EARLY', events: [givenEvent('delivered', minutes(6))] });
    const rows = [shipmentToWrite(), bad, early, shipmentToWrite({ trackingNumber: 'TN2' })];
    expect(await write(rows, by)).toMatchObject([
      { kind: 'created' },
      { kind: 'refused', code: 'shipment_refused', key: { trackingKey: 'BAD' } },
      { kind: 'refused', code: 'occurred_at_in_future', key: { trackingKey: 'EARLY' } },
      { kind: 'created' },
    ]);
    expect(await shipments.findShipment(shipmentKey('DHL', 'BAD'))).toBeNull();
  });

  test('a COMMIT whose answer was lost is recognised', async () => {
    const cutter = await openCommitCutter(url);
    const far = createTestClient(cutter.url, { poolSize: 1 });
    try {
      const writer = createShipmentWriter({ db: far, clock, defaultCurrency: 'EUR' as Currency });
      await writer.write([shipmentToWrite({ trackingNumber: 'WARM' })], { by });
      cutter.cutNextCommit('after');
      const outcomes = await writer.write([shipmentToWrite({ events: [givenEvent('delivered', testNow)] })], { by });
      expect(kindsOf(outcomes)).toEqual(['created']);
      expect((await shipments.getShipment(key)).events).toHaveLength(1);
    } finally {
      await far.close();
      await cutter.close();
    }
  });
});

describe('creating one by one', () => {
  test('of many at once with one key one is created and all others are replays, on two servers', async () => {
    const second = createTestClient(url);
    const elsewhere = shipmentsOn(second);
    try {
      const sent = Array.from({ length: 60 }, (_, i) => shipmentToWrite({ trackingNumber: `RACE${i % 3}` }));
      const answers = await Promise.all(
        sent.map((row, i) => (i % 2 === 0 ? shipments : elsewhere).createShipment(row)),
      );
      expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(3);
      expect(new Set(answers.map(({ shipment }) => shipment.shipmentId)).size).toBe(3);
    } finally {
      await elsewhere.drain();
      await second.close();
    }
  });

  test('what came with a file cannot be sent: there is no document to compare with', async () => {
    await shipments.createShipment(shipmentToWrite());
    await db.query(dynamic(sql`update shipments set content_hash = null`));
    await expect(shipments.createShipment(shipmentToWrite())).rejects.toMatchObject({ code: 'shipment_key_reused' });
  });

  test('an event from the future refuses the shipment', async () => {
    const early = shipmentToWrite({ events: [givenEvent('delivered', minutes(5) + 1)] });
    await expect(shipments.createShipment(early)).rejects.toMatchObject({ code: 'occurred_at_in_future' });
    expect(await shipments.findShipment(key)).toBeNull();
  });
});

describe('an event', () => {
  beforeEach(async () => {
    await shipments.createShipment(shipmentToWrite());
    told.length = 0;
  });

  test('that is the newest decides; the version rises and the change is told', async () => {
    clock.set(minutes(10));
    const { outcome, seq, shipment } = await shipments.recordEvent(eventToRecord('Inbound-Scan', minutes(5)));
    expect({ outcome, seq }).toEqual({ outcome: 'recorded', seq: 1 });
    expect(shipment).toMatchObject({
      status: 'in_transit',
      decidedBy: { seq: 1, code: 'Inbound-Scan', occurredAt: minutes(5) },
      movedAt: minutes(5),
      version: 2,
      updatedAt: minutes(10),
    });
    const { articles: _articles, events, ...stored } = await shipments.getShipment(key);
    expect(stored).toEqual(shipment);
    expect(events).toMatchObject([{ code: 'Inbound-Scan', recordedAt: minutes(10), actor: 'test' }]);
    expect(told).toEqual([key]);
  });

  test('that is older than the one that decides is recorded and late', async () => {
    await shipments.recordEvent(eventToRecord('delivered', minutes(-1)));
    const late = await shipments.recordEvent(eventToRecord('out_for_delivery', minutes(-60)));
    expect(late).toMatchObject({ outcome: 'late', seq: 2, shipment: { status: 'delivered', lastSeq: 2, version: 3 } });
  });

  test('after the delivery is late unless it begins a new leg', async () => {
    await shipments.recordEvent(eventToRecord('delivered', minutes(-9)));
    expect(await shipments.recordEvent(eventToRecord('scanned', minutes(-5)))).toMatchObject({ outcome: 'late' });
    const back = await shipments.recordEvent(eventToRecord('return_to_sender', minutes(-4)));
    expect(back).toMatchObject({ outcome: 'recorded', shipment: { status: 'returning' } });
  });

  test('that was recorded before changes nothing and tells nothing', async () => {
    const event = eventToRecord('in_transit', minutes(-1));
    await shipments.recordEvent(event);
    told.length = 0;
    const again = await shipments.recordEvent({ ...event, event: { ...event.event, city: 'Elsewhere' } });
    expect(again).toMatchObject({ outcome: 'replayed', seq: 1, shipment: { version: 2 } });
    expect(told).toEqual([]);
    // Another code at the same instant is another event, and the later record wins the tie.
    const other = await shipments.recordEvent(eventToRecord('delivered', minutes(-1)));
    expect(other).toMatchObject({ outcome: 'recorded', seq: 2, shipment: { status: 'delivered' } });
  });

  test('without a time happens now, and behind all that happened', async () => {
    await shipments.recordEvent(eventToRecord('in_transit', minutes(4)));
    const now = await shipments.recordEvent(eventToRecord('in_transit'));
    expect(now).toMatchObject({ outcome: 'recorded', seq: 2, shipment: { decidedBy: { occurredAt: minutes(4) + 1 } } });
  });

  test('more than five minutes ahead is refused, and so is one of no shipment', async () => {
    const early = eventToRecord('delivered', minutes(5) + 1);
    await expect(shipments.recordEvent(early)).rejects.toMatchObject({ code: 'occurred_at_in_future' });
    const nowhere = eventToRecord('delivered', testNow, shipmentKey('UPS', 'TN1'));
    await expect(shipments.recordEvent(nowhere)).rejects.toMatchObject({ code: 'shipment_not_found' });
    expect(await shipments.getShipment(key)).toMatchObject({ version: 1, events: [] });
  });

  test('with a word that nobody knows is kept and displaces nothing', async () => {
    await shipments.recordEvent(eventToRecord('Eaten by the Dog', minutes(-5)));
    expect(await shipments.getShipment(key)).toMatchObject({ status: 'unknown' });
    await shipments.recordEvent(eventToRecord('in_transit', minutes(-9)));
    expect(await shipments.getShipment(key)).toMatchObject({
      status: 'in_transit',
      events: [{ code: 'Eaten by the Dog', status: 'unknown' }, { code: 'in_transit' }],
    });
  });

  test('names a country by its code where it can be read', async () => {
    const event = eventToRecord('scanned', testNow);
    await shipments.recordEvent({ ...event, event: { ...event.event, city: 'Lyon', country: 'Frankreich' } });
    expect((await shipments.getShipment(key)).events).toMatchObject([{ city: 'Lyon', country: 'FR' }]);
  });
});

describe('many events', () => {
  test('are one transaction: each is judged after those before it', async () => {
    await write([shipmentToWrite(), shipmentToWrite({ trackingNumber: 'TN2' })]);
    told.length = 0;
    const other = shipmentKey('DHL', 'TN2');
    const outcomes = await shipments.recordEvents([
      eventToRecord('in_transit', minutes(-9)),
      eventToRecord('in_transit', minutes(-9)),
      eventToRecord('delivered', minutes(-1), other),
      eventToRecord('delivered', minutes(-1), shipmentKey('UPS', 'TN2')),
      eventToRecord('label_created', minutes(-20)),
      eventToRecord('delivered', minutes(9)),
    ]);
    expect(kindsOf(outcomes)).toEqual(['recorded', 'replayed', 'recorded', 'not_found', 'late', 'refused']);
    expect(await shipments.getShipment(key)).toMatchObject({ status: 'in_transit', lastSeq: 2, version: 2 });
    expect(told).toEqual([key, other]);
  });

  test('one that the database refuses is refused alone', async () => {
    await write([shipmentToWrite()]);
    const bad = eventToRecord('in_transit\u0000', testNow);
    const outcomes = await shipments.recordEvents([
      eventToRecord('in_transit', minutes(-3)),
      bad,
      eventToRecord('delivered', minutes(-2)),
    ]);
    expect(outcomes).toMatchObject([{ kind: 'recorded' }, { code: 'event_refused' }, { kind: 'recorded' }]);
    expect(await shipments.getShipment(key)).toMatchObject({ status: 'delivered', lastSeq: 2 });
  });

  test('of a few shipments from several writers at once: none is lost, none doubled, and the newest decides', async () => {
    const second = createTestClient(url);
    const elsewhere = shipmentsOn(second);
    const keys = Array.from({ length: 4 }, (_, i) => shipmentKey('DHL', `TN${i}`));
    try {
      await write(keys.map((_, i) => shipmentToWrite({ trackingNumber: `TN${i}` })));
      // Every event is sent to both servers, in different orders, singly and in bulk.
      const events = keys.flatMap((one) =>
        Array.from({ length: 40 }, (_, i) =>
          eventToRecord(i === 39 ? 'delivered' : 'in_transit', minutes(i - 40), one),
        ),
      );
      const halves = [events.slice(0, 80), events.slice(80)] as const;
      const answers = await Promise.all([
        ...halves[0].map((event) => shipments.recordEvent(event)),
        ...[...halves[0]].reverse().map((event) => elsewhere.recordEvent(event)),
        shipments.recordEvents([...halves[1]].reverse()),
        elsewhere.recordEvents(halves[1]),
      ]);
      const outcomes = answers.flatMap((answer) =>
        'outcome' in answer ? [answer.outcome] : answer.map(({ kind }) => kind),
      );
      expect(outcomes.filter((outcome) => outcome === 'replayed')).toHaveLength(events.length);
      for (const one of keys) {
        const { status, lastSeq, events: stored } = await shipments.getShipment(one);
        expect({ status, lastSeq, stored: stored.length }).toEqual({ status: 'delivered', lastSeq: 40, stored: 40 });
      }
    } finally {
      await elsewhere.drain();
      await second.close();
    }
  });

  test('recorded although the answer to COMMIT was lost, when each has its time', async () => {
    await write([shipmentToWrite()]);
    const cutter = await openCommitCutter(url);
    const far = createTestClient(cutter.url, { poolSize: 1 });
    try {
      const there = shipmentsOn(far);
      await there.recordEvents([eventToRecord('in_transit', minutes(-5))]);
      cutter.cutNextCommit('after');
      expect(kindsOf(await there.recordEvents([eventToRecord('delivered', minutes(-1))]))).toEqual(['replayed']);
      cutter.cutNextCommit('after');
      await expect(there.recordEvents([eventToRecord('delivered')])).rejects.toMatchObject({ code: 'commit_unknown' });
      await there.drain();
    } finally {
      await far.close();
      await cutter.close();
    }
  });
});
