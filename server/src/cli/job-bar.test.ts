import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jobStates } from '../jobs/job.ts';
import { jobRun, testRunAt, testRunId } from '../testing/job-run.ts';
import { barLines } from './job-bar.ts';
import { clockText, type JobView } from './job-texts.ts';

const view = (run: Parameters<typeof jobRun>[0] = {}): JobView => ({
  run: jobRun(run),
  now: testRunAt,
  ageMs: 0,
  silentMs: null,
});

test('a wide terminal shows everything', () => {
  const until = clockText((testRunAt + 8_100) as typeof testRunAt, testRunAt);
  expect(barLines(view({ failedRows: 2 }), 160)).toEqual([
    `[${'='.repeat(13)}${' '.repeat(27)}]  34.0%  340,000/1,000,000  81,000/s  mean 79,500/s  4 s  9 s left  until ${until}`,
    `running  2 failed  batch 12,400 rows  run ${testRunId}  tickets.rotate`,
  ]);
});

test('a narrow one keeps how far it is, how long it takes and what is wrong', () => {
  const [figures, details] = barLines(view({ failedRows: 2, waitReason: 'replica lag 12 s (limit 10 s)' }), 40);
  expect(figures).toBe('34.0%  340,000/1,000,000  9 s left');
  expect(details).toBe('waits: replica lag 12 s (limit 10 s)');
});

test('the estimate of a total is marked in all that is made of it', () => {
  const [figures] = barLines(view({ total: { rows: 1_000_000, precision: 'estimate' } }), 160);
  expect(figures).toMatch(/~34\.0% {2}340,000\/~1,000,000 .* ~9 s left/);
});

test('there is no bar where nobody knows the total', () => {
  expect(barLines(view({ total: null, remainingMs: null }), 160)[0]).toBe('340,000 rows  81,000/s  mean 79,500/s  4 s');
});

test('the bar is full at the end and not before', () => {
  const bar = (doneRows: number) => /\[(.*)\]/.exec(barLines(view({ doneRows }), 160)[0])?.[1];
  expect(bar(1_000_000)).toBe('='.repeat(40));
  expect(bar(999_999)).toBe(`${'='.repeat(39)} `);
  expect(bar(0)).toBe(' '.repeat(40));
});

test('no line is longer than the terminal, nor broken, whatever the figures', () => {
  const anyText = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\r', '\t', '\x1b', 'é'), maxLength: 200 });
  const anyRun = fc.record({
    state: fc.constantFrom(...jobStates),
    doneRows: fc.nat(1e12),
    failedRows: fc.nat(1e6),
    retries: fc.nat(1e4),
    total: fc.option(
      fc.record({ rows: fc.nat(1e12), precision: fc.constantFrom('exact' as const, 'estimate' as const) }),
    ),
    rateNow: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true })),
    rateMean: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true })),
    remainingMs: fc.option(fc.nat(1e10)),
    waitReason: fc.option(anyText),
    error: fc.option(anyText),
  });
  fc.assert(
    fc.property(anyRun, fc.integer({ min: 10, max: 250 }), fc.option(fc.nat(1e7)), (run, columns, silentMs) => {
      for (const line of barLines({ ...view(run), silentMs }, columns)) {
        expect(line.length).toBeLessThanOrEqual(columns);
        expect(line).not.toMatch(/\p{Cc}/u);
      }
    }),
  );
});
