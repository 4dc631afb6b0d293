import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { JobRun } from '../jobs/job.ts';
import { jobRun } from '../testing/job-run.ts';
import { type EventSource, eventId, jobEvents } from './job-events.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const running = jobRun({ doneRows: 1 });
const done = jobRun({ doneRows: 2, state: 'done' });

/** The run as given, and then, where `endless`, nothing until it is stopped. */
function source(runs: readonly JobRun[], more: Partial<EventSource> & { readonly endless?: boolean } = {}) {
  const stopping = new AbortController();
  let pulled = 0;
  async function* states(): AsyncGenerator<JobRun> {
    for (const run of runs) {
      pulled++;
      yield run;
    }
    if (more.endless === true) {
      await new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));
    }
  }
  const events = jobEvents({
    states: states(),
    lastEventId: null,
    isDraining: () => false,
    confirm: async () => {},
    stop: () => stopping.abort(),
    ...more,
  });
  return { events, stopping, pulled: () => pulled };
}

const collect = async (events: AsyncIterable<string>): Promise<string[]> => {
  const texts: string[] = [];
  for await (const text of events) texts.push(text);
  return texts;
};
const names = (texts: readonly string[]) => texts.map((text) => /^event: (\w+)/.exec(text)?.[1] ?? text.trim());

test('each state is an event, and the last one comes again as the end', async () => {
  const texts = await collect(source([running, done]).events);
  expect(names(texts)).toEqual(['retry: 2000', 'progress', 'progress', 'end']);
  expect(texts[1]).toMatch(new RegExp(`^event: progress\nid: ${eventId(running)}\ndata: {[^\n]*}\n\n$`));
  expect(JSON.parse(/^data: (.*)$/m.exec(texts[3] ?? '')?.[1] ?? '')).toMatchObject({ state: 'done', done_rows: 2 });
});

test('whoever comes back is not told again what it has seen', async () => {
  const again = await collect(source([running, done], { lastEventId: eventId(running) }).events);
  expect(names(again)).toEqual(['retry: 2000', 'progress', 'end']);
  expect(names(await collect(source([done], { lastEventId: eventId(done) }).events))).toEqual(['retry: 2000', 'end']);
});

test('a stream that is cut off before the run ended has no end', async () => {
  expect(names(await collect(source([running]).events))).toEqual(['retry: 2000', 'progress']);
  expect(names(await collect(source([jobRun({ state: 'paused' })]).events))).toEqual(['retry: 2000', 'progress']);
});

test('a comment comes every 15 s in which nothing happens, and the key is looked at again', async () => {
  const confirm = vi.fn(async () => {});
  const { events } = source([running], { endless: true, confirm });
  await events.next();
  await events.next();
  for (let round = 1; round <= 2; round++) {
    const next = events.next();
    await vi.advanceTimersByTimeAsync(13_000);
    expect(confirm).toHaveBeenCalledTimes(round - 1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect((await next).value).toBe(': nothing new\n\n');
    expect(confirm).toHaveBeenCalledTimes(round);
  }
  await events.return(undefined);
});

test('a reader whose key was revoked is cut off', async () => {
  const { events, stopping } = source([], { endless: true, confirm: () => Promise.reject(new Error('revoked')) });
  await events.next();
  const next = expect(events.next()).rejects.toThrow('revoked');
  await vi.advanceTimersByTimeAsync(16_000);
  await next;
  expect(stopping.signal.aborted).toBe(true);
});

test('a server that is being stopped ends it within a second', async () => {
  let draining = false;
  const { events, stopping } = source([running], { endless: true, isDraining: () => draining });
  await events.next();
  await events.next();
  const next = events.next();
  draining = true;
  await vi.advanceTimersByTimeAsync(1_100);
  expect(await next).toEqual({ done: true, value: undefined });
  expect(stopping.signal.aborted).toBe(true);
});

test('a reader that leaves stops the asking', async () => {
  const { events, stopping } = source([running], { endless: true });
  await events.next();
  await events.return(undefined);
  expect(stopping.signal.aborted).toBe(true);
});

test('nothing is asked for ahead of a slow reader', async () => {
  const many = Array.from({ length: 1_000 }, (_, i) => jobRun({ doneRows: i }));
  const { events, pulled } = source(many, { endless: true });
  for (let i = 0; i < 3; i++) await events.next();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(pulled()).toBeLessThanOrEqual(3);
  await events.return(undefined);
});
