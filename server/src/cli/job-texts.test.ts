import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Instant } from '../core/time.ts';
import type { JobState } from '../jobs/job.ts';
import { jobRun, testRunAt, testRunId } from '../testing/job-run.ts';
import {
  activeMsOf,
  bytesText,
  clockText,
  doneText,
  durationText,
  endingLines,
  forecastLines,
  type JobView,
  logLine,
  percentText,
  rateText,
  remainingMsOf,
  remainingText,
  resultLines,
  stateText,
  summaryText,
} from './job-texts.ts';

const view = (run: Parameters<typeof jobRun>[0] = {}, more: Partial<JobView> = {}): JobView => ({
  run: jobRun(run),
  now: testRunAt,
  ageMs: 0,
  silentMs: null,
  ...more,
});

describe('a duration', () => {
  test.each([
    [0, '0 s'],
    [59_400, '59 s'],
    [59_600, '1 min 00 s'],
    [250_000, '4 min 10 s'],
    [3_600_000, '1 h 00 min'],
    [7_500_000, '2 h 05 min'],
    [47 * 3_600_000, '47 h 00 min'],
    [76 * 3_600_000, '3 d 4 h'],
    [-5, '0 s'],
  ])('of %i ms is %s', (ms, text) => expect(durationText(ms)).toBe(text));
});

describe('a remaining time', () => {
  test.each([
    [0, '0 s'],
    [7_100, '8 s'],
    [59_999, '1 min'],
    [61_000, '1 min 10 s'],
    [120_000, '2 min'],
    [601_000, '11 min'],
    [7_260_001, '2 h 02 min'],
  ])('of %i ms is told as %s, no finer than it is known', (ms, text) => expect(remainingText(ms)).toBe(text));
});

test('a rate below ten has a decimal, others have commas', () => {
  expect([0.04, 0.44, 9.96, 10.4, 81_234.5].map(rateText)).toEqual(['0/s', '0.4/s', '10/s', '10/s', '81,235/s']);
});

test('the clock names the day where it is not today', () => {
  const at = (...parts: [number, number, number, number, number, number]) => new Date(...parts).getTime() as Instant;
  const now = at(2026, 5, 30, 23, 59, 0);
  expect(clockText(at(2026, 5, 30, 23, 59, 7), now)).toBe('23:59:07');
  expect(clockText(at(2026, 6, 1, 0, 0, 7), now)).toBe('2026-07-01 00:00:07');
});

describe('what is done', () => {
  test('is never more than the total and never above 100 %', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.option(fc.nat()),
        fc.constantFrom('exact' as const, 'estimate' as const),
        (done, rows, precision) => {
          const run = jobRun({ doneRows: done, total: rows === null ? null : { rows, precision } });
          const percent = percentText(run);
          expect(percent === null).toBe(rows === null);
          if (percent !== null) expect(Number.parseFloat(percent.replace('~', ''))).toBeLessThanOrEqual(100);
          const [left, right] = doneText(run)
            .split('/')
            .map((text) => Number(text.replace(/[^\d]/g, '')));
          if (right !== undefined) expect(left).toBeLessThanOrEqual(right);
        },
      ),
    );
  });

  test('bears ~ where the total is an estimate', () => {
    const run = jobRun({ total: { rows: 1_000_000, precision: 'estimate' } });
    expect([doneText(run), percentText(run)]).toEqual(['340,000/~1,000,000', '~34.0%']);
  });

  test('is a mere count where nobody knows the total', () => {
    const run = jobRun({ total: null });
    expect([doneText(run), percentText(run)]).toEqual(['340,000 rows', null]);
  });
});

describe('time', () => {
  test('goes on between two reports, but not for long', () => {
    expect([activeMsOf(view({}, { ageMs: 700 })), remainingMsOf(view({}, { ageMs: 700 }))]).toEqual([4_900, 7_400]);
    expect(activeMsOf(view({}, { ageMs: 3_600_000 }))).toBe(14_200);
    expect(remainingMsOf(view({ remainingMs: 300 }, { ageMs: 700 }))).toBe(0);
  });

  test('stands still while the run does, and what remains while it waits', () => {
    expect(activeMsOf(view({ state: 'paused' }, { ageMs: 700 }))).toBe(4_200);
    expect(remainingMsOf(view({ state: 'paused' }, { ageMs: 700 }))).toBeNull();
    expect(remainingMsOf(view({ waitReason: 'replica lag 12 s (limit 10 s)' }, { ageMs: 700 }))).toBe(8_100);
    expect(remainingMsOf(view({}, { silentMs: 20_000 }))).toBeNull();
  });
});

test('the state says why it waits, why it failed, and that its process is gone', () => {
  expect(stateText(view())).toBe('running');
  expect(stateText(view({ waitReason: 'replica lag 12 s (limit 10 s)' }))).toBe('waits: replica lag 12 s (limit 10 s)');
  expect(stateText(view({ state: 'failed', error: 'too many rows failed' }))).toBe('failed: too many rows failed');
  expect(stateText(view({}, { silentMs: 34_000 }))).toBe('running, but nothing heard of web1, process 4711, for 34 s');
});

describe('a line of a log', () => {
  test('has every figure, and quotes what holds spaces', () => {
    expect(logLine(view({ waitReason: 'replica lag 12 s', failedRows: 2 }))).toBe(
      `at=2026-06-30T12:30:00.000Z run=${testRunId} kind=tickets.rotate state=running done=340000 total=1000000 ` +
        'percent=34.0 rate=81000.0 rate_mean=79500.0 active_s=4.2 remaining_s=9 finish=2026-06-30T12:30:08.100Z ' +
        'batch=12400 failed=2 retries=0 wait="replica lag 12 s"',
    );
  });

  test('leaves out what is not known', () => {
    const line = logLine(view({ total: null, rateNow: null, rateMean: null, remainingMs: null }));
    for (const name of ['total', 'percent', 'rate', 'remaining_s', 'finish', 'wait'])
      expect(line).not.toContain(`${name}=`);
  });

  test('is one line, whatever stands in it', () => {
    expect(logLine(view({ state: 'failed', error: 'first\nsecond "quoted"' }))).toMatch(
      /^[^\n]* error="first\\nsecond \\"quoted\\""$/,
    );
  });
});

describe('the end of a run', () => {
  const line = 'milliard jobs resume X';

  test('that is done tells counts and its proof', () => {
    const run = jobRun({
      state: 'done',
      doneRows: 1_000_000,
      failedRows: 2,
      counts: { issued: 999_998, left_out: 2 },
      activeMs: 12_600,
      result: { old_tokens_that_verify: 0, share: 0.5, checked: true },
    });
    expect(endingLines(run, line)).toEqual([
      'done: 1,000,000 rows in 13 s (79,500/s), 2 failed; 999,998 issued, 2 left out',
      'old tokens that verify  0',
      'share                   0.5',
      'checked                 true',
      `The failed rows: milliard jobs errors ${testRunId}`,
    ]);
  });

  test('that is paused or failed tells how to go on', () => {
    expect(endingLines(jobRun({ state: 'paused' }), line)).toEqual([
      'paused: 340,000/1,000,000 rows in 4 s (79,500/s)',
      'Nothing is lost. Go on: milliard jobs resume X',
    ]);
    const failed = endingLines(jobRun({ state: 'failed', error: 'disk full' }), line);
    expect([failed[0], failed.at(-1)]).toEqual([
      'failed: disk full',
      'Go on when the cause is gone: milliard jobs resume X',
    ]);
  });

  test.each<JobState>(['queued', 'running', 'cancelling', 'cancelled'])('or is %s begins with that word', (state) => {
    expect(endingLines(jobRun({ state }), line)[0]).toBe(`${state}: ${summaryText(jobRun({ state }))}`);
  });
});

test('a result that is no object is JSON', () => {
  expect([resultLines(null), resultLines([1, 2]), resultLines({ a: { b: 1 } })]).toEqual([
    [],
    ['[1,2]'],
    ['a  {"b":1}'],
  ]);
});

test('a forecast says what the whole takes, and that nothing was changed', () => {
  const total = {
    rows: 1_000_000,
    precision: 'estimate',
    durationMs: 61_000,
    walBytes: 600 * 2 ** 20,
    diskBytes: -2048,
  } as const;
  expect(forecastLines({ sampledRows: 5_000, sampledBatches: 10, total })).toEqual([
    '5,000 rows in 10 batches were tried and rolled back; nothing was changed.',
    'rows  ~1,000,000',
    'time  about 1 min 10 s',
    'WAL   about 600.0 MiB',
    'disk  about -2.0 KiB',
  ]);
  expect(forecastLines({ sampledRows: 1, sampledBatches: 1, total })[0]).toMatch(/^1 row in 1 batch was tried/);
  expect(forecastLines({ sampledRows: 0, sampledBatches: 0, total: null })[1]).toMatch(/no forecast/);
});

test('bytes are told in the largest fitting unit', () => {
  expect([0, 1_023, 1_536, 3 * 2 ** 40].map(bytesText)).toEqual(['0 B', '1023 B', '1.5 KiB', '3.0 TiB']);
});
