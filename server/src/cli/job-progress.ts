import { type Instant, systemClock } from '../core/time.ts';
import { toJobDocument } from '../http/job-representation.ts';
import type { JobRun } from '../jobs/job.ts';
import { barLines } from './job-bar.ts';
import { type JobView, logLine } from './job-texts.ts';
import type { Output } from './output.ts';

/** Shows how a run goes on: a bar on a terminal, lines in a log, NDJSON with `--json`. */
export interface JobDisplay {
  /** How the run stands now. */
  show(run: JobRun): void;
  /** Ends the showing with the last state, or with none where something went wrong. Waits until `--json` is written. */
  end(last: JobRun | null): Promise<void>;
}

export interface DisplayOptions {
  /** Another process works at the run, so that it may die unseen. */
  readonly watching?: boolean;
  readonly now?: () => Instant;
}

// At most twice a second: faster than that nobody reads.
const tickMs = 500;
/** A living process is heard of about once a second. */
const silentAfterMs = 10_000;

/** How long a log rests between two lines, for a run that has been shown for so long and has so much time left. */
export function logIntervalMs(shownMs: number, remainingMs: number | null): number {
  if (shownMs < 10_000) return 1_000;
  if (shownMs < 120_000 || (remainingMs !== null && remainingMs < 60_000)) return 5_000;
  return 30_000;
}

/** A run that is held to a rate waits after every batch: only a wait that lasts is a change of its own. */
const lastingWaitMs = 3_000;

/** Whether the run is to be called waiting: it becomes so, and ceases to be, when it was the other thing for a while. */
function createWaitSense(now: () => number): (run: JobRun) => boolean {
  let isWaiting = false;
  let otherSinceMs: number | null = null;
  return ({ waitReason }) => {
    if ((waitReason !== null) === isWaiting) otherSinceMs = null;
    else {
      otherSinceMs ??= now();
      if (now() - otherSinceMs >= lastingWaitMs) {
        isWaiting = !isWaiting;
        otherSinceMs = null;
      }
    }
    return isWaiting;
  };
}

/** Changes that a log tells of at once. */
const changeKey = ({ run, silentMs }: JobView, isWaiting: boolean): string =>
  JSON.stringify([run.state, isWaiting, run.owner, silentMs !== null]);

export function createJobDisplay(output: Output, options: DisplayOptions = {}): JobDisplay {
  const { watching = false, now = systemClock.now } = options;
  const beginMs = now();
  let latest: { readonly run: JobRun; readonly atMs: number; readonly heardMs: number } | null = null;
  let told: { readonly run: JobRun; readonly atMs: number; readonly key: string } | null = null;
  let recording: Promise<void> | null = null;
  const isWaiting = createWaitSense(now);

  const viewOf = ({ run, atMs, heardMs }: NonNullable<typeof latest>): JobView => {
    const silentMs = now() - heardMs;
    const isOwned = run.owner !== null && (run.state === 'running' || run.state === 'cancelling');
    const isSilent = watching && isOwned && silentMs >= silentAfterMs;
    return { run, now: now(), ageMs: now() - atMs, silentMs: isSilent ? silentMs : null };
  };
  const tell = (view: JobView, isLast: boolean): void => {
    if (output.live !== null && !isLast) output.live.paint(barLines(view, output.live.columns()));
    const key = changeKey(view, isWaiting(view.run));
    const dueMs = told === null ? 0 : told.atMs + logIntervalMs(now() - beginMs, view.run.remainingMs);
    if (!isLast && told?.key === key && now() < dueMs) return;
    if (output.json) {
      // A reader that is slow misses lines; the last one it gets.
      if (recording !== null) return;
      recording = output
        .record(toJobDocument(view.run))
        .catch(() => {})
        .finally(() => (recording = null));
    } else if (output.live === null) output.log(logLine(view));
    told = { run: view.run, atMs: now(), key };
  };
  const timer = setInterval(() => latest !== null && tell(viewOf(latest), false), tickMs);

  return {
    show(run) {
      const at = now();
      const isFirst = latest === null;
      const beats = run.heartbeatAt !== latest?.run.heartbeatAt;
      // Clocks of two machines may differ, so that later beats count from when they are seen here.
      const heardMs = isFirst ? Math.min(run.heartbeatAt ?? at, at) : beats ? at : (latest?.heardMs ?? at);
      latest = { run, atMs: at, heardMs };
      const view = viewOf(latest);
      if (told === null || told.key !== changeKey(view, isWaiting(run))) tell(view, false);
    },
    async end(last) {
      clearInterval(timer);
      await recording;
      const isTold = last === null || JSON.stringify(told?.run) === JSON.stringify(last);
      if (!isTold) tell({ run: last, now: now(), ageMs: 0, silentMs: null }, true);
      output.live?.clear();
      await recording;
    },
  };
}

/** Shows a run that another process works at until it ends or the signal comes. @returns its last state, null = none came */
export async function showJob(
  output: Output,
  signal: AbortSignal,
  states: AsyncIterable<JobRun>,
): Promise<JobRun | null> {
  const display = createJobDisplay(output, { watching: true });
  let last: JobRun | null = null;
  try {
    for await (const run of states) {
      if (signal.aborted) break;
      last = run;
      display.show(run);
    }
  } finally {
    await display.end(signal.aborted ? null : last);
  }
  return last;
}
