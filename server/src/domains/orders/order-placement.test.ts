import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketOf } from '../../core/bucket.ts';
import { bucketsOfCustomer, homeOfKey } from '../../core/customer-layout.ts';
import { bucketOfId, timeOfId } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import type { Instant } from '../../core/time.ts';
import type { NewOrder } from './order.ts';
import { byKey, type PlacementContext, placeOrder } from './order-placement.ts';
import type { ImportedStatus } from './order-status.ts';

const at = (ms: number) => ms as Instant;
const now = at(1_750_000_000_000);
const order: NewOrder = {
  customerId: 'C',
  orderNumber: 'ORD1',
  placedAt: null,
  currency: null,
  items: [{ sku: 'A', quantity: 1, unit_price: 5 }],
  total: 5,
  statuses: null,
};
const context: PlacementContext = {
  now,
  placedAt: now,
  actor: 'test',
  defaultCurrency: 'EUR' as Currency,
  layouts: [{ ways: 1 }],
  chance: 0,
};
const status = (name: ImportedStatus['status'], step: number, eventKey: string | null = null): ImportedStatus => ({
  status: name,
  occurredAt: at(now + step),
  reason: null,
  eventKey,
});

describe('placeOrder', () => {
  test('gives the order an id in its home, at its time', () => {
    const { order: placed, bucket } = placeOrder(order, null, { ...context, placedAt: at(now - 5) });
    expect(bucket).toBe(bucketOf('C'));
    expect(bucketOfId(placed.orderId)).toBe(bucket);
    expect(timeOfId(placed.orderId)).toBe(now - 5);
    expect(placed).toMatchObject({ status: 'pending', statusAt: now - 5, currency: 'EUR', total: 5, version: 1 });
  });

  test('finds the same key again under every layout, in the home that layout gives it', () => {
    const layouts = fc.array(
      fc.integer({ min: 1, max: 16 }).map((ways) => ({ ways })),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(layouts, fc.string({ minLength: 1 }), (list, number) => {
        const placed = placeOrder({ ...order, orderNumber: number }, 'ignored', { ...context, layouts: list });
        const homes = list.map((layout) => homeOfKey('C', number, layout));
        expect(placed.key).toEqual({ kind: 'number', key: number, customerId: 'C', bucket: homes.at(-1) });
        const earlier = placed.earlierKeys.map(({ bucket }) => bucket);
        expect(new Set([...earlier, placed.bucket])).toEqual(new Set(homes));
        expect(earlier).not.toContain(placed.bucket);
      }),
    );
  });

  test('spreads orders without a key over all ways by chance, within the buckets of the customer', () => {
    const layouts = [{ ways: 1 }, { ways: 4 }];
    const keyless = { ...order, orderNumber: null };
    const buckets = [0, 0.25, 0.5, 0.75, 0.999999].map((chance) =>
      placeOrder(keyless, null, { ...context, layouts, chance }),
    );
    expect(new Set(buckets.map(({ bucket }) => bucket))).toEqual(new Set(bucketsOfCustomer('C', layouts)));
    expect(buckets[0]).toMatchObject({ key: null, earlierKeys: [] });
  });

  test('takes the number for the key, else the Idempotency-Key', () => {
    expect(placeOrder(order, 'request', context).key).toMatchObject({ kind: 'number', key: 'ORD1' });
    expect(placeOrder({ ...order, orderNumber: null }, 'request', context).key).toMatchObject({
      kind: 'request',
      key: 'request',
    });
  });

  test('begins every history with pending, then what came with it', () => {
    const { history, state } = placeOrder(
      { ...order, statuses: [status('complete', 5), status('cancelled', 9, 'e')] },
      null,
      context,
    );
    expect(history.map((row) => [row.seq, row.status, row.occurredAt - now, row.eventKey])).toEqual([
      [1, 'pending', 0, null],
      [2, 'complete', 5, null],
      [3, 'cancelled', 9, 'e'],
    ]);
    expect(state).toMatchObject({ status: 'cancelled', statusSeq: 3, lastSeq: 3 });
  });

  test('lets no pending of its own outdo a history of the past', () => {
    const { history, state } = placeOrder(
      { ...order, statuses: [status('pending', -90), status('complete', -50)] },
      null,
      context,
    );
    expect(history.map((row) => [row.status, row.occurredAt - now])).toEqual([
      ['pending', -90],
      ['complete', -50],
    ]);
    expect(state.status).toBe('complete');
    const bare = placeOrder({ ...order, statuses: [status('complete', -50)] }, null, context);
    expect(bare.history.map((row) => [row.status, row.occurredAt - now])).toEqual([
      ['pending', -50],
      ['complete', -50],
    ]);
    expect(bare.state.status).toBe('complete');
  });

  test('takes a pending that comes with its event key for its own', () => {
    const { history } = placeOrder(
      { ...order, statuses: [status('complete', 5), status('pending', 0, 'first')] },
      null,
      context,
    );
    expect(history.map((row) => [row.seq, row.status, row.eventKey])).toEqual([
      [1, 'pending', 'first'],
      [2, 'complete', null],
    ]);
  });

  test('has a total order by key, the same in every process', () => {
    const drawn = fc.array(
      fc.tuple(fc.constantFrom('C', 'D', 'E'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 })),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(drawn, (list) => {
        const placed = list.map(([customerId, orderNumber]) =>
          placeOrder({ ...order, customerId, orderNumber }, null, context),
        );
        const keysOf = (rows: typeof placed) => rows.map(({ key }) => `${key?.bucket} ${key?.customerId} ${key?.key}`);
        expect(keysOf([...placed].sort(byKey))).toEqual(keysOf([...placed].reverse().sort(byKey)));
      }),
    );
  });
});
