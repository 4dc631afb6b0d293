import { expect, test } from 'vitest';
import type { Instant } from '../core/time.ts';
import { jobStates } from '../jobs/job.ts';
import { jobRun } from '../testing/job-run.ts';
import { allowedActions, jobSchema, percentOf, toJobDocument } from './job-representation.ts';

test('a run is a document of its schema, whatever its state', () => {
  for (const state of jobStates) expect(jobSchema.strict().parse(toJobDocument(jobRun({ state }))).state).toBe(state);
});

test('the same row is the same document at any time', () => {
  expect(toJobDocument(jobRun())).toEqual(toJobDocument(jobRun()));
  expect(toJobDocument(jobRun())).toMatchObject({
    percent: 34,
    remaining_ms: 8_100,
    expected_end_at: '2026-06-30T12:30:08.100Z',
    rows_per_second_now: 81_000,
    allowed_actions: ['pause', 'cancel'],
  });
});

test('an end that is expected between two milliseconds is an instant all the same', () => {
  expect(toJobDocument(jobRun({ remainingMs: 8_100.4 }))).toMatchObject({
    expected_end_at: '2026-06-30T12:30:08.100Z',
  });
});

test('what is not known is null', () => {
  const nothing = {
    total: null,
    rateNow: null,
    rateMean: null,
    remainingMs: null,
    heartbeatAt: null,
    owner: null,
  } as const;
  expect(toJobDocument(jobRun(nothing))).toMatchObject({
    total: null,
    percent: null,
    remaining_ms: null,
    expected_end_at: null,
    heartbeat_at: null,
    owner: null,
  });
});

test('a percentage is rounded down, at most 100, and 100 when the run is done', () => {
  const percent = (doneRows: number, rows: number, state: 'running' | 'done' = 'running') =>
    percentOf({ doneRows, state, total: { rows, precision: 'estimate' } });
  expect([percent(0, 3), percent(1, 3), percent(999_999, 1_000_000), percent(5, 3), percent(0, 0)]).toEqual([
    0, 33.3, 99.9, 100, 100,
  ]);
  expect(percent(900, 1_000, 'done')).toBe(100);
});

test('each state says what can be asked of it', () => {
  expect(Object.fromEntries(jobStates.map((state) => [state, allowedActions(state)]))).toEqual({
    queued: ['pause', 'cancel'],
    running: ['pause', 'cancel'],
    paused: ['resume', 'cancel'],
    failed: ['resume', 'cancel'],
    cancelling: [],
    cancelled: [],
    done: [],
  });
});

test('the expected end counts from the last sign of life', () => {
  const heartbeatAt = Date.parse('2026-06-30T13:00:00Z') as Instant;
  expect(toJobDocument(jobRun({ heartbeatAt })).expected_end_at).toBe('2026-06-30T13:00:08.100Z');
});
