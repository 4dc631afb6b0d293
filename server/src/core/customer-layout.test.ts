import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketOf } from './bucket.ts';
import { bucketOfWay, bucketsOfCustomer, homeOfKey, plainLayout, wayOfKey } from './customer-layout.ts';

const customers = fc.string({ unit: 'grapheme', minLength: 1 });
const keys = fc.string({ minLength: 1 });
const ways = fc.integer({ min: 1, max: 64 });

describe('a customer layout', () => {
  test('with one way keeps every key in the home of the customer', () => {
    fc.assert(
      fc.property(customers, keys, (customer, key) => {
        expect(homeOfKey(customer, key, plainLayout)).toBe(bucketOf(customer));
      }),
    );
  });

  test('gives a key always the same way, below the number of ways', () => {
    fc.assert(
      fc.property(keys, ways, (key, count) => {
        const way = wayOfKey(key, { ways: count });
        expect(way).toBe(wayOfKey(key, { ways: count }));
        expect(way).toBeGreaterThanOrEqual(0);
        expect(way).toBeLessThan(count);
      }),
    );
  });

  test('names its ways after the customer', () => {
    expect(bucketOfWay('C', 0)).toBe(bucketOf('C'));
    expect(bucketOfWay('C', 3)).toBe(bucketOf('C#3'));
  });

  test('uses all its ways', () => {
    const used = new Set(Array.from({ length: 200 }, (_, i) => wayOfKey(`ORD${i}`, { ways: 8 })));
    expect([...used].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test('and all its predecessors lie within the buckets of the customer, each named once', () => {
    fc.assert(
      fc.property(customers, keys, fc.array(ways, { maxLength: 4 }), (customer, key, history) => {
        const layouts = [plainLayout, ...history.map((count) => ({ ways: count }))];
        const buckets = bucketsOfCustomer(customer, layouts);
        expect(new Set(buckets).size).toBe(buckets.length);
        for (const layout of layouts) expect(buckets).toContain(homeOfKey(customer, key, layout));
      }),
    );
  });
});
