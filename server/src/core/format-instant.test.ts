import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatInstant, type Instant } from './time.ts';

test('an instant is written as ECMAScript writes it, whatever was written before', () => {
  const anyInstant = fc.integer({ min: -8_640_000_000_000_000, max: 8_640_000_000_000_000 });
  const nearMidnight = fc
    .tuple(fc.integer({ min: -800_000, max: 800_000 }), fc.constantFrom(-1, 0, 1))
    .map(([day, ms]) => day * 86_400_000 + ms);
  fc.assert(
    fc.property(fc.array(fc.oneof(anyInstant, nearMidnight), { minLength: 1 }), (instants) => {
      for (const at of instants) expect(formatInstant(at as Instant)).toBe(new Date(at).toISOString());
    }),
    { numRuns: 500 },
  );
});

test('what is no instant is refused', () => {
  expect(() => formatInstant(Number.NaN as Instant)).toThrow(RangeError);
});
