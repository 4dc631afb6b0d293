import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Bucket } from '../core/bucket.ts';
import { newOrderId } from '../core/ids.ts';
import type { Instant } from '../core/time.ts';
import { type CursorQuery, decodeCursor, encodeCursor } from './page-cursor.ts';

const query: CursorQuery = {
  filter: { statuses: ['cancelled', 'pending'], customerId: null, orderNumber: null, placedFrom: null, placedTo: null },
  direction: 'newest',
};
const anyId = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 48 - 1 }), fc.integer({ min: 0, max: 4095 }))
  .map(([at, bucket]) => newOrderId(at as Instant, bucket as Bucket));

describe('a cursor', () => {
  test('leads back to the place it was made of, behind a row or in front of it', () => {
    const places = fc.oneof(
      anyId.map((after) => ({ after })),
      anyId.map((before) => ({ before })),
    );
    fc.assert(
      fc.property(places, (place) => {
        expect(decodeCursor(encodeCursor(place, query), query)).toEqual(place);
      }),
    );
  });

  test('does not mind the order in which statuses were named', () => {
    const id = newOrderId(1 as Instant, 1 as Bucket);
    const other = { ...query, filter: { ...query.filter, statuses: ['pending', 'cancelled'] as const } };
    expect(decodeCursor(encodeCursor({ after: id }, query), other)).toEqual({ after: id });
  });

  test.each([
    ['status', { ...query, filter: { ...query.filter, statuses: ['cancelled'] as const } }],
    ['customer', { ...query, filter: { ...query.filter, customerId: 'a' } }],
    ['number', { ...query, filter: { ...query.filter, orderNumber: 'a' } }],
    ['from', { ...query, filter: { ...query.filter, placedFrom: 0 as Instant } }],
    ['to', { ...query, filter: { ...query.filter, placedTo: 0 as Instant } }],
    ['direction', { ...query, direction: 'oldest' as const }],
  ] satisfies [string, CursorQuery][])('is refused by a query with another %s', (_name, other) => {
    const cursor = encodeCursor({ before: newOrderId(1 as Instant, 1 as Bucket) }, query);
    expect(() => decodeCursor(cursor, other)).toThrow(expect.objectContaining({ code: 'cursor_mismatch' }));
  });

  test('is refused as malformed when it is any other text', () => {
    const refused = expect.objectContaining({ code: expect.stringMatching(/^cursor_(malformed|mismatch)$/) });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.uint8Array({ minLength: 25, maxLength: 25 }).map((b) => Buffer.from(b).toString('base64url')),
        ),
        (text) => {
          expect(() => decodeCursor(text, query)).toThrow(refused);
        },
      ),
    );
  });
});
