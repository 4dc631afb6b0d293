import { expect, test } from 'vitest';
import { formatNodeAddress, parseNodeAddress, remainingMovesMs, skewOf } from './cluster.ts';

test.each([
  ['db3:6000', { host: 'db3', port: 6000 }],
  ['10.0.0.7', { host: '10.0.0.7', port: 5432 }],
  ['[::1]:5433', { host: '::1', port: 5433 }],
])('%s is an address of a node', (text, address) => {
  expect(parseNodeAddress(text)).toEqual(address);
  expect(parseNodeAddress(formatNodeAddress(address))).toEqual(address);
});

test.each(['', ':5432', 'db:', 'db:0', 'db:70000', 'a b', '::1', 'db:54x', 'postgres://db'])('%j is none', (text) => {
  expect(parseNodeAddress(text)).toBe(null);
});

test('skew is the fullest against the mean', () => {
  expect(skewOf([10, 10, 10])).toBe(1);
  expect(skewOf([30, 0, 0])).toBe(3);
  expect(skewOf([])).toBe(null);
  expect(skewOf([0, 0])).toBe(null);
});

test('what is left takes as long, each, as what is done', () => {
  expect(remainingMovesMs({ done: 0, total: 4, elapsedMs: 9_000 })).toBe(null);
  expect(remainingMovesMs({ done: 3, total: 4, elapsedMs: 9_000 })).toBe(3_000);
  expect(remainingMovesMs({ done: 5, total: 4, elapsedMs: 9_000 })).toBe(0);
});
