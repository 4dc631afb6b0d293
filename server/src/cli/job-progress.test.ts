import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Instant } from '../core/time.ts';
import type { JobRun } from '../jobs/job.ts';
import { jobRun, testRunAt } from '../testing/job-run.ts';
import { createJobDisplay, logIntervalMs, showJob } from './job-progress.ts';
import { createOutput } from './output.ts';

beforeEach(() => void vi.useFakeTimers({ now: testRunAt }));
afterEach(() => void vi.useRealTimers());

function outputs({ json = false, isTTY = false } = {}) {
  const texts = { stdout: '', stderr: '' };
  const into = (name: keyof typeof texts) =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          texts[name] += String(chunk);
          done();
        },
      }),
      { isTTY, columns: 100 },
    );
  const output = createOutput({ stdout: into('stdout'), stderr: into('stderr'), json, environment: {} });
  const lines = (name: keyof typeof texts) => texts[name].split('\n').slice(0, -1);
  return { output, texts, lines };
}

const beat = (more: Partial<JobRun> = {}): JobRun => jobRun({ heartbeatAt: Date.now() as Instant, ...more });

describe('in a log', () => {
  test('there is a line every second at first, then every five, then every thirty', async () => {
    const { output, lines } = outputs();
    const display = createJobDisplay(output);
    const counts: number[] = [];
    for (let second = 1; second <= 240; second++) {
      display.show(beat({ doneRows: second * 1_000, remainingMs: 3_600_000 }));
      await vi.advanceTimersByTimeAsync(1_000);
      if ([10, 120, 240].includes(second)) counts.push(lines('stderr').length);
    }
    await display.end(null);
    expect(counts[0]).toBeGreaterThanOrEqual(9);
    expect(counts[0]).toBeLessThanOrEqual(11);
    expect((counts[1] ?? 0) - (counts[0] ?? 0)).toBeLessThanOrEqual(23);
    expect((counts[1] ?? 0) - (counts[0] ?? 0)).toBeGreaterThanOrEqual(20);
    expect((counts[2] ?? 0) - (counts[1] ?? 0)).toBeLessThanOrEqual(5);
    expect((counts[2] ?? 0) - (counts[1] ?? 0)).toBeGreaterThanOrEqual(3);
  });

  test('a change of the state or of the process is told at once', async () => {
    const { output, lines } = outputs();
    const display = createJobDisplay(output);
    display.show(beat());
    display.show(beat({ doneRows: 350_000 }));
    display.show(beat({ owner: { host: 'web2', pid: 1 } }));
    display.show(beat({ state: 'cancelling' }));
    await display.end(beat({ state: 'cancelled' }));
    expect(lines('stderr').map((line) => / state=(\w+)/.exec(line)?.[1])).toEqual([
      'running',
      'running',
      'cancelling',
      'cancelled',
    ]);
  });

  test('the last state is told once', async () => {
    const { output, lines } = outputs();
    const display = createJobDisplay(output);
    const done = beat({ state: 'done' });
    display.show(beat());
    display.show(done);
    await display.end({ ...done });
    expect(lines('stderr').filter((line) => line.includes('state=done'))).toHaveLength(1);
  });

  test('a wait that lasts is told when it has lasted 3 s, its changing figures are not', async () => {
    const { output, lines } = outputs();
    const display = createJobDisplay(output);
    display.show(beat({ remainingMs: 3_600_000 }));
    await vi.advanceTimersByTimeAsync(120_000);
    const before = lines('stderr').length;
    for (let lag = 11; lag < 15; lag++) {
      display.show(beat({ remainingMs: 3_600_000, waitReason: `replica lag ${lag} s` }));
      await vi.advanceTimersByTimeAsync(1_000);
    }
    await display.end(null);
    expect(
      lines('stderr')
        .slice(before)
        .filter((line) => line.includes('wait=')),
    ).toHaveLength(1);
  });

  test('a run that is held to a rate, and so waits after every batch, does not fill the log', async () => {
    const { output, lines } = outputs();
    const display = createJobDisplay(output);
    display.show(beat());
    await vi.advanceTimersByTimeAsync(120_000);
    const before = lines('stderr').length;
    for (let i = 0; i < 60; i++) {
      display.show(beat({ remainingMs: 3_600_000, waitReason: i % 2 === 0 ? 'at most 100 rows/s' : null }));
      await vi.advanceTimersByTimeAsync(500);
    }
    await display.end(null);
    expect(lines('stderr').length - before).toBeLessThanOrEqual(2);
  });

  test('the interval is short again near the end', () => {
    expect([logIntervalMs(600_000, 3_600_000), logIntervalMs(600_000, 30_000), logIntervalMs(600_000, null)]).toEqual([
      30_000, 5_000, 30_000,
    ]);
  });
});

describe('with --json', () => {
  test('standard output has nothing but documents, the last one with the last state', async () => {
    const { output, texts, lines } = outputs({ json: true });
    const display = createJobDisplay(output);
    display.show(beat());
    await vi.advanceTimersByTimeAsync(3_000);
    await display.end(beat({ state: 'done', doneRows: 1_000_000 }));
    const documents = lines('stdout').map((line) => JSON.parse(line));
    expect(documents.length).toBeGreaterThanOrEqual(3);
    expect(documents[0]).toMatchObject({ state: 'running', percent: 34 });
    expect(documents.at(-1)).toMatchObject({ state: 'done', percent: 100, done_rows: 1_000_000 });
    expect(texts.stderr).toBe('');
  });
});

describe('on a terminal', () => {
  test('two lines are painted at most twice a second and gone at the end', async () => {
    const { output, texts } = outputs({ isTTY: true });
    const display = createJobDisplay(output);
    for (let i = 0; i < 40; i++) {
      display.show(beat({ doneRows: i }));
      await vi.advanceTimersByTimeAsync(50);
    }
    const paints = texts.stderr.split('/1,000,000').length - 1;
    expect(paints).toBeGreaterThanOrEqual(4);
    expect(paints).toBeLessThanOrEqual(6);
    await display.end(beat({ state: 'done' }));
    expect(texts.stderr.endsWith('\r\x1b[2K\x1b[1A\x1b[2K')).toBe(true);
    expect(texts.stdout).toBe('');
  });
});

describe('watching', () => {
  /** The states as they come, `null` = a second in which nothing comes. */
  async function* states(...runs: (JobRun | null)[]): AsyncGenerator<JobRun> {
    for (const run of runs) {
      if (run === null) await vi.advanceTimersByTimeAsync(1_000);
      else yield run;
    }
  }
  const seconds = (count: number) => Array.from({ length: count }, () => null);

  test('tells that the owner is silent, and when it is heard of again', async () => {
    const { output, lines } = outputs();
    const first = beat();
    const signal = new AbortController().signal;
    const later = jobRun({ heartbeatAt: (testRunAt + 20_000) as Instant });
    const last = await showJob(output, signal, states(first, ...seconds(15), later, jobRun({ state: 'done' })));
    expect(last?.state).toBe('done');
    const silent = lines('stderr').filter((line) => line.includes('silent_s='));
    expect(silent.length).toBeGreaterThan(0);
    expect(lines('stderr').at(-1)).not.toContain('silent_s=');
    expect(silent.every((line) => Number(/silent_s=([\d.]+)/.exec(line)?.[1]) >= 10)).toBe(true);
  });

  test('does not take a clock that goes wrong for a death', async () => {
    const { output, texts } = outputs();
    const hour = 3_600_000;
    const late = (ms: number) => jobRun({ heartbeatAt: (testRunAt + ms - hour) as Instant });
    const beats = Array.from({ length: 30 }, (_, i) => [late(i * 1_000), null]).flat();
    await showJob(output, new AbortController().signal, states(...beats, jobRun({ state: 'done' })));
    // The first look alone cannot tell a wrong clock from a death.
    expect(texts.stderr.split('silent_s=').length - 1).toBeLessThanOrEqual(2);
  });

  test('ends with the signal, without a last state', async () => {
    const { output, texts } = outputs();
    const stopping = new AbortController();
    async function* endless(): AsyncGenerator<JobRun> {
      yield beat();
      stopping.abort();
      yield beat();
    }
    await showJob(output, stopping.signal, endless());
    expect(texts.stderr.trim().split('\n')).toHaveLength(1);
  });
});
