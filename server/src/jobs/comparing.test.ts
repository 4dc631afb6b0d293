import { describe, expect, test } from 'vitest';
import { countedOrPlanned, keptWith, tellWhenDone } from './comparing.ts';

describe('the differences that are kept', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  const text = String;

  test('are the first 100', () => {
    const first = keptWith([], numbers(70), text);
    expect(first).toEqual(numbers(70).map(text));
    const all = keptWith(first, numbers(70), text);
    expect(all).toHaveLength(100);
    expect(all.at(-1)).toBe('29');
    expect(keptWith(all, numbers(70), text)).toBe(all);
  });

  test('stay the same list where nothing is found', () => {
    const before = ['a'];
    expect(keptWith(before, [], text)).toBe(before);
  });
});

test('a batch is told of when the next one is planned behind it, once however often it was tried', () => {
  const told: string[] = [];
  const telling = tellWhenDone<{ at: number }, string>((plan) => void told.push(plan));
  telling.reached({ at: 0 });
  telling.planned({ cursor: { at: 1 }, plan: 'first' });
  // Tried again from where it began.
  telling.reached({ at: 0 });
  telling.planned({ cursor: { at: 1 }, plan: 'first again' });
  expect(told).toEqual([]);
  telling.reached({ at: 1 });
  telling.reached({ at: 1 });
  expect(told).toEqual(['first again']);
});

describe('the rows of a table', () => {
  const totalOf = (rows: number, planned: number) =>
    countedOrPlanned({ countUpTo: async (most) => Math.min(rows, most), planned: async () => planned });

  test('are counted where they are few', async () => {
    expect(await totalOf(99_999, 5)).toEqual({ rows: 99_999, precision: 'exact' });
  });

  test('are estimated where they are many, and are never fewer than were counted', async () => {
    expect(await totalOf(1_000_000, 900_000)).toEqual({ rows: 900_000, precision: 'estimate' });
    expect(await totalOf(1_000_000, 5)).toEqual({ rows: 100_000, precision: 'estimate' });
  });
});
