import { beforeEach, describe, expect, test } from 'vitest';
import { minuteMs } from '../../core/time.ts';
import type { Jobs } from '../../jobs/jobs.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { testNow } from '../../testing/test-clock.ts';
import { createTestJobs, noThrottle } from '../../testing/test-jobs.ts';
import {
  clearShipments,
  eventToRecord,
  givenEvent,
  openTestShipments,
  shipmentKey,
  shipmentToWrite,
} from '../../testing/test-shipments.ts';
import { createShipmentVerifyKind } from './shipment-verify-jobs.ts';
import type { ShipmentDifference } from './shipment-verify-service.ts';

const { db, clock, shipments, told } = await openTestShipments();

beforeEach(() => clearShipments(db));

/** An engine of its own, as if in another process, that compares so many shipments at once. */
const engine = (windowRows: number, onDifference: (difference: ShipmentDifference) => void): Jobs => {
  const kind = createShipmentVerifyKind({
    clock,
    onDifference,
    onChange: (keys) => void told.push(...keys),
  });
  const batchRows = { initial: windowRows, min: windowRows, max: windowRows };
  return createTestJobs(db, { kinds: [{ ...kind, batchRows }] });
};

async function verify({ repair = false, windowRows = 4 } = {}) {
  const found: ShipmentDifference[] = [];
  const jobs = engine(windowRows, (difference) => found.push(difference));
  const { run } = await jobs.start('shipments.verify', { repair }, { actor: 'test', throttle: noThrottle });
  const { counts } = await jobs.runHere(run.runId, { signal: new AbortController().signal, whenStopped: 'pause' });
  return { ...counts, found };
}

const minutes = (count: number): number => testNow + count * minuteMs;

/** So many shipments of one carrier, numbered from 0; each was delivered but the first, which has no event. */
async function write(count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) =>
    shipmentToWrite({
      trackingNumber: `TN${i}`,
      events:
        i === 0
          ? []
          : [
              givenEvent('delivered', minutes(-9)),
              givenEvent('scanned', minutes(-5)),
              givenEvent('unheard of', minutes(-4)),
            ],
    }),
  );
  await shipments.writer.write(rows, { by: 'copy' });
}

describe('verifying', () => {
  test('finds no difference and counts everything, however the windows fall', async () => {
    await write(10);
    await shipments.recordEvent(eventToRecord('return_to_sender', minutes(-1)));
    for (const windowRows of [1, 3, 10, 100]) {
      expect(await verify({ windowRows })).toMatchObject({
        ...{ shipments: 10, events: 28, articles: 10 },
        ...{ differences: 0, found: [] },
      });
    }
  });

  test('an empty database has no differences', async () => {
    expect(await verify()).toMatchObject({ shipments: 0, differences: 0 });
  });

  test.each([
    [`status = 'exception'`],
    [`status_at = status_at + interval '1 ms'`],
    ['status_seq = 2'],
    [`status_code = 'Delivered'`],
    ['last_seq = 7'],
    [`moved_at = moved_at - interval '1 ms'`],
  ])('finds a copy with %s, and repair makes it anew from the events', async (change) => {
    await write(6);
    const key = shipmentKey('DHL', 'TN3');
    const before = await shipments.getShipment(key);
    // First what it is then, for Citus allows no such sum in an UPDATE.
    const [column = '', expression = ''] = change.split(' = ');
    const [wrong] = await db.query(
      dynamic<{ value: string }>(
        sql`select (${sql.raw(expression)})::text as value from shipments where tracking_key = 'TN3'`,
      ),
    );
    await db.query(
      dynamic(sql`update shipments set ${sql.raw(column)} = ${sql.lit(wrong?.value)} where tracking_key = 'TN3'`),
    );
    expect((await verify()).found).toEqual([{ kind: 'status_differs', ...key, mended: false }]);
    expect(await shipments.getShipment(key)).not.toMatchObject({ version: before.version + 1 });
    told.length = 0;
    expect(await verify({ repair: true })).toMatchObject({ differences: 1, mended: 1 });
    expect(told).toEqual([key]);
    expect(await verify()).toMatchObject({ differences: 0 });
    expect(await shipments.getShipment(key)).toEqual({ ...before, version: before.version + 1 });
  });

  test('finds events and articles without shipment and seqs that stand twice; repair leaves them', async () => {
    await write(6);
    for (const gone of ['TN1', 'TN5']) await db.query(dynamic(sql`delete from shipments where tracking_key = ${gone}`));
    await db.query(dynamic(sql`update shipment_events set seq = 2 where tracking_key = 'TN2' and seq = 3`));
    const { found, ...counts } = await verify({ repair: true });
    expect(counts).toMatchObject({ differences: 5, mended: 0 });
    expect(found.map(({ kind, trackingKey }) => `${kind} ${trackingKey}`).sort()).toEqual([
      'article_without_shipment TN1',
      'article_without_shipment TN5',
      'event_without_shipment TN1',
      'event_without_shipment TN5',
      'seq_twice TN2',
    ]);
  });

  test('finds nothing while events are being written', async () => {
    await write(40);
    let isOver = false;
    const writing = (async () => {
      for (let i = 0; !isOver; i++) {
        const keys = Array.from({ length: 20 }, (_, n) => shipmentKey('DHL', `TN${(i + n) % 40}`));
        await shipments.recordEvents(
          keys.map((key) => eventToRecord(i % 2 === 0 ? 'returning' : 'delivered', minutes(-3) + i, key)),
        );
      }
    })();
    for (let i = 0; i < 5; i++) expect(await verify({ windowRows: 7 })).toMatchObject({ shipments: 40, found: [] });
    isOver = true;
    await writing;
  });
});
