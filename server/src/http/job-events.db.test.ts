import { expect, test } from 'vitest';
import type { RunId } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { openTestApi } from '../testing/test-api.ts';
import { countingKind, createNumbers, createTestJobs, startCounting, stopAtEnd, until } from '../testing/test-jobs.ts';
import { createHttpServer } from './server.ts';

/** Of every stream, what tells it to stop. */
const watched: AbortSignal[] = [];
const noting = (jobs: Jobs): Jobs => ({
  ...jobs,
  watch(runId, signal) {
    watched.push(signal);
    return jobs.watch(runId, signal);
  },
});
const { server, app } = await openTestApi({
  jobs: (db) => noting(createTestJobs(db, { kinds: [countingKind()] })),
});
const { url } = await server.listen('127.0.0.1', 0);
const signal = stopAtEnd();
await createNumbers(app.db, 300);

interface Event {
  readonly event: string;
  readonly id: string;
  readonly data: { readonly state: string; readonly done_rows: number };
}

/** Reads events as a browser does; comments and retries are left out. */
async function* eventsOf(answer: Response): AsyncGenerator<Event> {
  let text = '';
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString();
    const parts = text.split('\n\n');
    text = parts.pop() ?? '';
    for (const part of parts) {
      const fields = Object.fromEntries(part.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]));
      if (fields['event'] !== undefined)
        yield { event: fields['event'], id: fields['id'] ?? '', data: JSON.parse(fields['data'] ?? '') };
    }
  }
}
const collect = async (answer: Response): Promise<Event[]> => {
  const events: Event[] = [];
  for await (const event of eventsOf(answer)) events.push(event);
  return events;
};
const follow = (runId: RunId, lastEventId?: string, base = url): Promise<Response> =>
  fetch(`${base}/api/v1/jobs/${runId}/events`, {
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
  });

test('the events of a run lead to its end, and whoever comes back after that is told to stay away', async () => {
  const runId = await startCounting(app.jobs, {}, { rowsPerSecond: 300 });
  const answer = await follow(runId);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  const [events] = await Promise.all([collect(answer), app.jobs.runHere(runId, { signal, whenStopped: 'release' })]);
  expect(events[0]).toMatchObject({ event: 'progress', data: { state: 'queued' } });
  expect(events.at(-1)).toMatchObject({ event: 'end', data: { state: 'done', done_rows: 300 } });
  expect(events.filter(({ event }) => event === 'end')).toHaveLength(1);
  const rows = events.map(({ data }) => data.done_rows);
  expect(rows).toEqual([...rows].sort((a, b) => a - b));
  expect((await follow(runId, events.at(-1)?.id)).status).toBe(204);
  expect((await collect(await follow(runId))).map(({ event }) => event)).toEqual(['progress', 'end']);
});

test('whoever connects again is not told what it has seen', async () => {
  const runId = await startCounting(app.jobs);
  const first = await follow(runId);
  const events = eventsOf(first);
  const seen = (await events.next()).value as Event;
  await events.return(undefined);
  const again = eventsOf(await follow(runId, seen.id));
  const next = again.next();
  await app.jobs.pause(runId, 'tester');
  expect((await next).value).toMatchObject({ event: 'progress', data: { state: 'paused' } });
  await again.return(undefined);
});

test('a client that leaves leaves nothing behind', async () => {
  const runId = await startCounting(app.jobs);
  const before = watched.length;
  const leaving = new AbortController();
  const answer = await fetch(`${url}/api/v1/jobs/${runId}/events`, { signal: leaving.signal });
  await answer.body?.getReader().read();
  expect(watched.slice(before).map(({ aborted }) => aborted)).toEqual([false]);
  leaving.abort();
  await until(() => watched[before]?.aborted === true);
});

test('a server that is being stopped ends the stream properly, without an end of the run', async () => {
  const other = await createHttpServer({ app, mode: 'dev', authentication: 'none' });
  const { url: otherUrl } = await other.listen('127.0.0.1', 0);
  const runId = await startCounting(app.jobs);
  const events = eventsOf(await follow(runId, undefined, otherUrl));
  expect((await events.next()).value).toMatchObject({ event: 'progress' });
  const [rest] = await Promise.all([events.next(), other.close()]);
  // A stream that was cut off would throw here.
  expect(rest.done).toBe(true);
});
