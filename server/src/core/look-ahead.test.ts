import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLookAhead } from './look-ahead.ts';

interface Item {
  readonly n: number;
  readonly weight: number;
}

const sourceOf = (items: readonly Item[], pieces: readonly number[]) => {
  let at = 0;
  let pull = 0;
  return async () => {
    if (at >= items.length) return null;
    const piece = items.slice(at, at + (pieces[pull++ % pieces.length] ?? 1));
    at += piece.length;
    return piece;
  };
};

const weights = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 60 });
const pieces = fc
  .array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 5 })
  .filter((sizes) => sizes.some((n) => n > 0));
const asks = fc.array(fc.record({ weight: fc.integer({ min: 1, max: 30 }), isRepeated: fc.boolean() }), {
  minLength: 1,
});

test('gives every item once in its order, the same again when the last was not done, and reaches what was asked for', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ list: weights, sizes: pieces, wanted: asks, eager: fc.boolean() }),
      async ({ list, sizes, wanted, eager }) => {
        const items = list.map((weight, n): Item => ({ n, weight }));
        const ahead = createLookAhead<Item, string>({
          pull: sourceOf(items, sizes),
          weightOf: ({ weight }) => weight,
          sizeOf: () => 1,
          maxSize: 1_000,
          background: eager ? 'background' : null,
        });
        let done = -1;
        for (let i = 0; done < items.length - 1; i++) {
          const { weight, isRepeated } = wanted[i % wanted.length] ?? { weight: 1, isRepeated: false };
          const ask = { reader: 'asked', weight, isDone: ({ n }: Item) => n <= done };
          const taken = await ahead.take(ask);
          if (isRepeated) expect(await ahead.take(ask)).toEqual(taken);
          expect(taken.map(({ n }) => n)).toEqual(taken.map((_, at) => done + 1 + at));
          const sum = taken.reduce((total, item) => total + item.weight, 0);
          const last = taken.at(-1);
          if (last === undefined) throw new Error('nothing was given before the end');
          expect(sum >= weight || last.n === items.length - 1).toBe(true);
          expect(sum - last.weight).toBeLessThan(weight);
          done = last.n;
        }
        expect(await ahead.take({ reader: 'asked', weight: 5, isDone: ({ n }) => n <= done })).toEqual([]);
      },
    ),
  );
});

test('holds large items one at a time', async () => {
  const items = [5, 5, 5].map((weight, n) => ({ n, weight }));
  const ahead = createLookAhead<Item, null>({
    pull: sourceOf(items, [1]),
    weightOf: () => 1,
    sizeOf: ({ weight }) => weight,
    maxSize: 5,
    background: null,
  });
  expect(await ahead.take({ reader: null, weight: 100, isDone: () => false })).toEqual([items[0]]);
  expect(await ahead.take({ reader: null, weight: 100, isDone: ({ n }) => n === 0 })).toEqual([items[1]]);
});

test('tells a failure of reading ahead when the next items are asked for, and goes on after it', async () => {
  let pulls = 0;
  const ahead = createLookAhead<Item, null>({
    pull: async () => {
      if (++pulls === 2) throw new Error('away');
      return [{ n: pulls, weight: 1 }];
    },
    weightOf: () => 1,
    sizeOf: () => 1,
    maxSize: 1_000,
    background: null,
  });
  expect(await ahead.take({ reader: null, weight: 1, isDone: () => false })).toHaveLength(1);
  await expect(ahead.take({ reader: null, weight: 2, isDone: () => false })).rejects.toThrow('away');
  expect((await ahead.take({ reader: null, weight: 2, isDone: () => false })).map(({ n }) => n)).toEqual([1, 3]);
});
