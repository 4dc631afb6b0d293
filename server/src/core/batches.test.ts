import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inBatches, oneAhead } from './batches.ts';

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
};

describe('inBatches', () => {
  test('keeps every item in order, in full batches but for the last', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer(), { maxLength: 50 }),
        fc.integer({ min: 1, max: 12 }),
        async (items, size) => {
          const batches = await collect(inBatches(items, size));
          expect(batches.flat()).toEqual(items);
          expect(batches.slice(0, -1).every((batch) => batch.length === size)).toBe(true);
          expect(batches.every((batch) => batch.length > 0 && batch.length <= size)).toBe(true);
        },
      ),
    );
  });

  test('closes its source when the consumer leaves', async () => {
    let closed = false;
    async function* source() {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        closed = true;
      }
    }
    for await (const batch of inBatches(source(), 3)) if (batch.includes(4)) break;
    expect(closed).toBe(true);
  });
});

describe('oneAhead', () => {
  /** A source that tells how many values it was asked for and whether it was closed. */
  function watched(count: number, failAt = Number.POSITIVE_INFINITY) {
    const seen = { asked: 0, closed: 0 };
    async function* source() {
      try {
        for (let i = 0; i < count; i++) {
          seen.asked++;
          if (i === failAt) throw new Error(`value ${i} failed`);
          yield i;
        }
      } finally {
        seen.closed++;
      }
    }
    return { seen, source: source() };
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  test('yields what its source yields, in order', async () => {
    for (const count of [0, 1, 2, 7]) {
      expect(await collect(oneAhead(watched(count).source))).toEqual(Array.from({ length: count }, (_, i) => i));
    }
  });

  test('makes one value while the consumer works, never more', async () => {
    const { seen, source } = watched(10);
    let taken = 0;
    for await (const _ of oneAhead(source)) {
      taken++;
      await settled();
      expect(seen.asked).toBe(Math.min(10, taken + 1));
    }
    expect(taken).toBe(10);
  });

  test('reports a failure after the values before it, also one that happened while the consumer was busy', async () => {
    const { seen, source } = watched(10, 2);
    const taken: number[] = [];
    await expect(async () => {
      for await (const value of oneAhead(source)) {
        taken.push(value);
        await settled();
      }
    }).rejects.toThrow('value 2 failed');
    expect(taken).toEqual([0, 1]);
    expect(seen.closed).toBe(1);
  });

  test('closes its source when the consumer leaves, even if the value ahead fails', async () => {
    for (const failAt of [Number.POSITIVE_INFINITY, 1]) {
      const { seen, source } = watched(10, failAt);
      for await (const _ of oneAhead(source)) break;
      expect(seen.closed).toBe(1);
    }
  });
});
