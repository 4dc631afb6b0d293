import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newTicketToken } from '../testing/test-tokens.ts';
import type { Bucket } from './bucket.ts';
import {
  bucketOfId,
  lowestIdAt,
  newOrderId,
  newTicketId,
  parseOrderId,
  parseTicketId,
  parseTicketToken,
  timeOfId,
} from './ids.ts';
import type { Instant } from './time.ts';

const instants = fc.integer({ min: 0, max: 2 ** 48 - 1 }) as fc.Arbitrary<Instant>;
const buckets = fc.integer({ min: 0, max: 4095 }) as fc.Arbitrary<Bucket>;
const ones = (target: Uint8Array): void => void target.fill(0xff);
const zeros = (target: Uint8Array): void => void target.fill(0);

describe('an order id', () => {
  test('is a version 7 UUID that gives its time and its bucket back', () => {
    fc.assert(
      fc.property(instants, buckets, (at, bucket) => {
        const id = newOrderId(at, bucket);
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(timeOfId(id)).toBe(at);
        expect(bucketOfId(id)).toBe(bucket);
        expect(parseOrderId(id)).toBe(id);
      }),
    );
  });

  test('sorts by time, whatever bucket and random bits it has', () => {
    fc.assert(
      fc.property(fc.tuple(instants, buckets), fc.tuple(instants, buckets), ([a, bucketA], [b, bucketB]) => {
        const [left, right] = [newOrderId(a, bucketA), newOrderId(b, bucketB)];
        if (a !== b) expect(left < right).toBe(a < b);
      }),
    );
  });

  test('lies within the bounds of its millisecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 2 }), (ms) => {
        const at = ms as Instant;
        const lowest = newOrderId(at, 0 as Bucket, zeros);
        const highest = newOrderId(at, 4095 as Bucket, ones);
        expect(lowestIdAt(at) <= lowest).toBe(true);
        expect(highest < lowestIdAt((at + 1) as Instant)).toBe(true);
      }),
    );
  });

  test('has 62 random bits: none is constant and no id comes twice', () => {
    const ids = Array.from({ length: 2_000 }, () => newOrderId(0 as Instant, 0 as Bucket));
    expect(new Set(ids).size).toBe(ids.length);
    const tails = ids.map((id) => BigInt(`0x${id.slice(19).replace('-', '')}`) & (2n ** 62n - 1n));
    expect(tails.reduce((all, tail) => all | tail, 0n)).toBe(2n ** 62n - 1n);
    expect(tails.reduce((all, tail) => all & tail, 2n ** 62n - 1n)).toBe(0n);
  });

  test.each([-1, 2 ** 48, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('is refused for %d ms', (ms) => {
    expect(() => newOrderId(ms as Instant, 0 as Bucket)).toThrow(RangeError);
  });
});

describe('lowestIdAt', () => {
  test('clamps instants outside of the time bits', () => {
    expect(lowestIdAt(-1 as Instant)).toBe(lowestIdAt(0 as Instant));
    expect(lowestIdAt((2 ** 49) as Instant)).toBe(lowestIdAt((2 ** 48 - 1) as Instant));
  });
});

describe('parseOrderId', () => {
  test('takes capital letters for small ones', () => {
    const id = newOrderId(1_750_000_000_000 as Instant, 0xabc as Bucket);
    expect(parseOrderId(id.toUpperCase())).toBe(id);
  });

  test.each([
    '',
    'ORD123456',
    '0197c0f0-1234-4abc-8000-000000000000',
    '0197c0f0-1234-7abc-0000-000000000000',
    '0197c0f012347abc8000000000000000',
    ' 0197c0f0-1234-7abc-8000-000000000000',
    '0197c0f0-1234-7abc-8000-00000000000g',
    "0197c0f0-1234-7abc-8000-000000000000'; drop table orders",
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
  ])('refuses %j', (text) => {
    expect(parseOrderId(text)).toBeNull();
  });
});

describe('a ticket id', () => {
  test('has the form of an order id', () => {
    fc.assert(
      fc.property(instants, buckets, (at, bucket) => {
        const id = newTicketId(at, bucket);
        expect(parseTicketId(id.toUpperCase())).toBe(id);
        expect([timeOfId(id), bucketOfId(id)]).toEqual([at, bucket]);
      }),
    );
  });
});

describe('a ticket token', () => {
  test('is a version 4 UUID that gives its bucket back', () => {
    fc.assert(
      fc.property(buckets, (bucket) => {
        const token = newTicketToken(bucket);
        expect(token).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(bucketOfId(token)).toBe(bucket);
        expect(parseTicketToken(token.toUpperCase())).toBe(token);
      }),
    );
  });

  test.each(['', 'x', '0197c0f0-1234-7abc-8000-000000000000', '6f1c0f4e-2b7a-4a5c-1d3e-8c1b7a605d2f'])(
    'is not what %j is',
    (text) => {
      expect(parseTicketToken(text)).toBeNull();
    },
  );
});
