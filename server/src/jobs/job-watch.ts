import { setTimeout as delay } from 'node:timers/promises';
import type { JobRun } from './job.ts';
import { awayReason, troubleOf } from './job-faults.ts';
import { isFinal } from './job-states.ts';

const everyMs = 500;

/** Yields the run whenever it changed, until it is final, failed, or the signal. A database that is away is waited for. */
export async function* watchRun(read: () => Promise<JobRun>, signal: AbortSignal): AsyncGenerator<JobRun> {
  let shown = '';
  let last: JobRun | null = null;
  while (!signal.aborted) {
    const run: JobRun = await readPatiently(read, last);
    const text = JSON.stringify({ ...run, heartbeatAt: null });
    if (text !== shown) yield run;
    shown = text;
    last = run;
    if (isFinal(run.state) || run.state === 'failed') return;
    await delay(everyMs, undefined, { signal }).catch(() => {});
  }
}

async function readPatiently(read: () => Promise<JobRun>, last: JobRun | null): Promise<JobRun> {
  try {
    return await read();
  } catch (error) {
    if (last === null || troubleOf(error).kind !== 'away') throw error;
    return { ...last, waitReason: awayReason };
  }
}
