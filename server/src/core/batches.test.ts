import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inBatches } from './batches.ts';

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
