import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bucketCount, bucketOf } from './bucket.ts';

describe('bucketOf', () => {
  // First three hex digits of SHA-256, as sha256sum prints them.
  test.each([
    ['', 0xe3b],
    ['abc', 0xba7],
    ['CUST789', Number.parseInt(createHash('sha256').update('CUST789').digest('hex').slice(0, 3), 16)],
    [
      'é',
      Number.parseInt(
        createHash('sha256')
          .update(Buffer.from([0xc3, 0xa9]))
          .digest('hex')
          .slice(0, 3),
        16,
      ),
    ],
  ])('of %j is the first 12 bits of its SHA-256', (text, bucket) => {
    expect(bucketOf(text)).toBe(bucket);
  });

  test('agrees with the bytes of SHA-256 on any Unicode', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const digest = createHash('sha256').update(Buffer.from(text, 'utf8')).digest();
        expect(bucketOf(text)).toBe(digest.readUInt16BE(0) >> 4);
        expect(bucketOf(text)).toBeLessThan(bucketCount);
      }),
    );
  });

  test.each(['\ud800', 'a\udfffb', '\udc00\ud800'])('refuses the lone surrogate in %j', (text) => {
    expect(() => bucketOf(text)).toThrow(RangeError);
  });

  test('spreads keys over all buckets', () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 40_960; i++) counts.set(bucketOf(`CUST${i}`), (counts.get(bucketOf(`CUST${i}`)) ?? 0) + 1);
    expect(counts.size).toBeGreaterThan(4_080);
    expect(Math.max(...counts.values())).toBeLessThan(40);
  });
});
