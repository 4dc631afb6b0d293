import { describe, expect, test } from 'vitest';
import { readJobOptions, readRunId, readThrottle } from './job-options.ts';
import { UsageError } from './stopped.ts';
import { values } from './values.ts';

describe('what holds a job back', () => {
  test('is changed only where a flag says so', () => {
    expect(readThrottle({})).toEqual({});
    expect(readThrottle({ rate: '2.5', maxReplicaLag: '10s', maxArchiveBacklog: '3', vacuum: 'ignore' })).toEqual({
      rowsPerSecond: 2.5,
      maxReplicaLagMs: 10_000,
      maxArchiveBacklogSegments: 3,
      yieldsToVacuum: false,
    });
  });

  test('goes with none', () => {
    expect(readThrottle({ rate: 'none', maxReplicaLag: 'none', maxArchiveBacklog: 'none', vacuum: 'yield' })).toEqual({
      rowsPerSecond: null,
      maxReplicaLagMs: null,
      maxArchiveBacklogSegments: null,
      yieldsToVacuum: true,
    });
  });

  test.each(['0', '0.5', '-1', 'fast', ''])('is no rate of %j', (rate) => {
    expect(() => readThrottle({ rate })).toThrow(UsageError);
  });
});

test('a rehearsal is not for servers', () => {
  expect(readJobOptions({ dryRun: true })).toEqual({ detach: false, dryRun: true, throttle: {} });
  expect(() => readJobOptions({ dryRun: true, detach: true })).toThrow(/leave out --detach/);
});

test('an id of a run may be in capitals', () => {
  expect(readRunId('0197C0B9-3E00-7A5C-9F3E-5D2F8C1B7A60')).toBe('0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60');
});

describe('a time', () => {
  test.each([
    ['0', 0],
    ['500ms', 500],
    ['1.5s', 1_500],
    ['15m', 900_000],
    ['15 min', 900_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ])('%s', (text, ms) => expect(values.durationMs('--grace', text)).toBe(ms));

  test.each(['', '10', '-1s', '1y', '1h30m', '400d', 's'])('is not %j', (text) => {
    expect(() => values.durationMs('--grace', text)).toThrow(/--grace is ".*": give a time such as/);
  });
});
