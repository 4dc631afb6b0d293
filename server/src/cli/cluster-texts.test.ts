import { expect, test } from 'vitest';
import type { Moves } from '../storage/cluster/cluster.ts';
import { bytesText, movesText, readAddress } from './cluster-texts.ts';

test.each([
  [0, '0 bytes'],
  [1_023, '1023 bytes'],
  [1_536, '1.5 kB'],
  [300 * 1_024 ** 2, '300 MB'],
  [5 * 1_024 ** 5, '5120 TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test('an address that is none is a usage error', () => {
  expect(() => readAddress('--to', 'db:0')).toThrow('--to is "db:0"');
});

const moves: Moves = {
  ...{ jobId: 1, state: 'running', startedAt: null, finishedAt: null, done: 2, total: 5, elapsedMs: 12_000 },
  ...{ phase: 'a:1 → b:2, catching up', fault: null },
};

test('moves tell how far they are and how long they will take', () => {
  expect(movesText(moves)).toBe('2 of 5 steps, 12 s, ~18 s left: a:1 → b:2, catching up');
  expect(movesText({ ...moves, state: 'finished', done: 5, phase: null })).toBe('5 of 5 steps, 12 s');
});
