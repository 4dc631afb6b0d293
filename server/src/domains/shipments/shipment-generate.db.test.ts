import { beforeEach, describe, expect, test } from 'vitest';
import { parseCurrency } from '../../core/money.ts';
import { dynamic, sql } from '../../storage/sql.ts';
import { createTestJobs, noThrottle } from '../../testing/test-jobs.ts';
import { clearShipments, openTestShipments, shipmentInconsistencies } from '../../testing/test-shipments.ts';
import { createShipmentGenerateKind } from './shipment-generate-jobs.ts';
import { createShipmentVerifyKind } from './shipment-verify-jobs.ts';

const { db, clock } = await openTestShipments();
const defaultCurrency = parseCurrency('EUR') ?? expect.fail();
const kinds = [createShipmentGenerateKind({ clock, defaultCurrency }), createShipmentVerifyKind()] as const;
const jobs = createTestJobs(db, { kinds: [...kinds] });

async function run(kind: string, parameters: object) {
  const { run: started } = await jobs.start(kind, parameters, { actor: 'test', throttle: noThrottle });
  return jobs.runHere(started.runId, { signal: new AbortController().signal, whenStopped: 'pause' });
}

const counted = async () =>
  (
    await db.query(
      dynamic<{ shipments: number; events: number; articles: number; statuses: number }>(
        sql`select (select count(*)::int from shipments) as shipments, (select count(*)::int from shipment_events) as events,
            (select count(*)::int from shipment_articles) as articles, (select count(distinct status)::int from shipments) as statuses`,
      ),
    )
  )[0];

beforeEach(() => clearShipments(db));

describe('generating', () => {
  test('stores as many as were asked for, whose status is what their events say', async () => {
    const { state, counts } = await run('shipments.generate', { count: 10_500, seed: 3 });
    expect(state).toBe('done');
    const stored = await counted();
    expect(counts).toMatchObject({ shipments_created: 10_500, events: stored?.events, articles: stored?.articles });
    expect(stored).toMatchObject({ shipments: 10_500 });
    expect(stored?.statuses).toBeGreaterThan(5);
    expect((await run('shipments.verify', {})).counts).toMatchObject({ shipments: 10_500, differences: 0 });
    expect(await shipmentInconsistencies(db)).toEqual([]);
  });

  test('the same seed again makes nothing new; the same numbers with other contents are refused', async () => {
    await run('shipments.generate', { count: 300, seed: 3 });
    expect((await run('shipments.generate', { count: 300, seed: 3 })).counts).toMatchObject({
      shipments_replayed: 300,
    });
    const other = await run('shipments.generate', { count: 300, seed: 3, to: '2025-01-01' });
    expect(other.counts).toMatchObject({ shipments_created: 0, shipments_rejected: 300 });
    expect(await counted()).toMatchObject({ shipments: 300 });
  });

  test('a time in the future and an empty one are refused', async () => {
    const refused = (parameters: object) => expect(run('shipments.generate', { count: 1, ...parameters })).rejects;
    await refused({ to: '2030-01-01' }).toThrow(/future/);
    await refused({ from: '2025-01-02', to: '2025-01-01' }).toThrow(/before/);
    await refused({ from: 'yesterday' }).toThrow(/day/);
  });
});
