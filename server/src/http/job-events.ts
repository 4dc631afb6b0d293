import type { JobRun, JobState } from '../jobs/job.ts';
import { etagOfText } from './etag.ts';
import { toJobDocument } from './job-representation.ts';

const heartbeatMs = 15_000;
const tickMs = 1_000;

/** States in which nothing happens by itself any more: a run that failed can be resumed, then it has new events. */
export const isEnd = (state: JobState): boolean => state === 'done' || state === 'failed' || state === 'cancelled';

export interface EventSource {
  /** How the run stands, each time something changed. */
  readonly states: AsyncIterable<JobRun>;
  /** Id of the last event that the reader has seen, null = none. */
  readonly lastEventId: string | null;
  /** Asked once a second: the stream ends early, without an `end`, when it says so. The reader connects again elsewhere. */
  readonly isDraining: () => boolean;
  /** Called with each heartbeat: throws when the reader may not go on. */
  readonly confirm: () => Promise<void>;
  /** Stops `states`. */
  readonly stop: () => void;
}

/** The id of an event says how the run stood, so that whoever comes back is told only what is new. */
export const eventId = (run: JobRun): string => etagOfText(JSON.stringify(toJobDocument(run))).replaceAll('"', '');

const event = (name: 'progress' | 'end', run: JobRun): string => {
  const json = JSON.stringify(toJobDocument(run));
  return `event: ${name}\nid: ${eventId(run)}\ndata: ${json}\n\n`;
};

/**
 * Server-sent events of a run: `progress` with how it stands whenever that changed, a comment every 15 s in which nothing did,
 * and a last `end`. Nothing is kept for a reader that is slow: the next event it takes is how the run stands by then.
 */
export async function* jobEvents(source: EventSource): AsyncGenerator<string> {
  const states = source.states[Symbol.asyncIterator]();
  let last: JobRun | null = null;
  let seen = source.lastEventId;
  let spokeMs = performance.now();
  try {
    // After a break the reader waits so long before it connects again.
    yield 'retry: 2000\n\n';
    let coming = nextOf(states);
    while (!source.isDraining()) {
      const next = await firstOf(coming, tickMs);
      if (next === null) {
        if (performance.now() - spokeMs < heartbeatMs) continue;
        await source.confirm();
        spokeMs = performance.now();
        yield ': nothing new\n\n';
        continue;
      }
      if (next.done === true) {
        if (last !== null && isEnd(last.state)) yield event('end', last);
        return;
      }
      last = next.value;
      if (eventId(last) !== seen) {
        seen = eventId(last);
        spokeMs = performance.now();
        yield event('progress', last);
      }
      coming = nextOf(states);
    }
  } finally {
    source.stop();
    await states.return?.().catch(() => {});
  }
}

function nextOf(states: AsyncIterator<JobRun>): Promise<IteratorResult<JobRun>> {
  const next = states.next();
  // Its failure is met when it is waited for; until then, with a slow reader, it must not count as unhandled.
  next.catch(() => {});
  return next;
}

/** What the promise brings within the time, else null. */
async function firstOf<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([promise, new Promise<null>((resolve) => (timer = setTimeout(resolve, ms, null)))]);
  } finally {
    clearTimeout(timer);
  }
}
