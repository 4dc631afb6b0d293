import { describe, expect, test } from 'vitest';
import { type Bucket, bucketCount } from '../../core/bucket.ts';
import { bucketOfId } from '../../core/ids.ts';
import {
  bucketParts,
  lastIdOfBucket,
  nextGeneration,
  partitionOf,
  rotationKey,
  rotationParameters,
  stretchOf,
} from './ticket-rotation.ts';

const parameters = (given: object) => rotationParameters.parse({ reason: 'leak', ...given });
const generations = (...numbers: number[]) => numbers.map((generation) => ({ generation }));

describe('numbers of generations', () => {
  test('a rotation of one event takes the next number, one of all tickets the next stretch with a partition of its own', () => {
    expect(nextGeneration(generations(1), 'A')).toBe(2);
    expect(nextGeneration(generations(1, 2, 3), null)).toBe(100_000);
    expect(nextGeneration(generations(1, 2, 100_000), 'A')).toBe(100_001);
    expect(nextGeneration(generations(100_001, 100_000, 1), null)).toBe(200_000);
    expect([1, 99_999, 100_000, 234_567].map(stretchOf)).toEqual([0, 0, 100_000, 200_000]);
    expect(partitionOf(100_007)).toBe('ticket_tokens_100000');
  });

  test('a stretch that is full asks for a rotation of all tickets', () => {
    expect(() => nextGeneration(generations(1, 99_999), 'A')).toThrow(/Rotate all tickets once/);
    expect(nextGeneration(generations(1, 99_999), null)).toBe(100_000);
  });
});

describe('what is the same rotation', () => {
  test('is decided by its scope and by whether it is a leak', () => {
    const all = rotationKey(parameters({}));
    expect(rotationKey(parameters({ reason: 'another', keep_days: 1 }))).toBe(all);
    const others = [{ event: 'A' }, { event: 'B' }, { grace_seconds: 60 }, { event: 'A', grace_seconds: 60 }];
    expect(new Set([all, ...others.map((one) => rotationKey(parameters(one)))]).size).toBe(5);
    // An event whose name looks like a scope.
    expect(rotationKey(parameters({ event: 'all' }))).not.toBe(all);
  });

  test.each([
    [{ reason: '' }],
    [{ reason: 'posted 0197C0B9-3e00-4a5c-9f3e-5d2f8c1b7a60 on a wall' }],
    [{ grace_seconds: -1 }],
    [{ keep_days: 1.5 }],
    [{ unknown: 1 }],
  ])('%j is refused', (given) => {
    expect(rotationParameters.safeParse({ reason: 'leak', ...given }).success).toBe(false);
  });
});

test.each([1, 2, 3, 7, 4_096, 10_000])('%i parts hold every bucket once', (count) => {
  const parts = bucketParts(count);
  const buckets = parts.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
  expect(buckets).toEqual(Array.from({ length: bucketCount }, (_, i) => i));
});

test('the last id of a bucket lies behind every ticket of it', () => {
  for (const bucket of [0, 1, 2_047, 4_095]) {
    const last = lastIdOfBucket(bucket as Bucket);
    expect(bucketOfId(last)).toBe(bucket);
    expect(last > 'ffffffff-fffe-7fff-bfff-ffffffffffff').toBe(true);
    expect(last).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  }
});
