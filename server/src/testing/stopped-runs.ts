import type { JobRun, RunId } from '../jobs/job.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Database } from '../storage/database.ts';
import { StorageError } from '../storage/faults.ts';
import { openCommitCutter } from './commit-cutter.ts';
import { createTestClient } from './open-database.ts';

/** A run that nothing stops. */
export const untouched = { signal: new AbortController().signal, whenStopped: 'pause' } as const;

/** Works at a run in engines that each stop at their first checkpoint, so often at most, until it is done. */
export async function withStops(
  runId: RunId,
  engine: () => Jobs,
  limit: number,
): Promise<{ run: JobRun; stops: number }> {
  for (let stops = 0; ; stops++) {
    const stop = new AbortController();
    const jobs = engine();
    const run = await jobs.runHere(runId, {
      signal: stop.signal,
      whenStopped: 'pause',
      // Told at most twice a second, but at once of the first batch.
      onProgress: () => (stops < limit ? stop.abort() : undefined),
    });
    if (run.state !== 'paused') return { run, stops };
    await jobs.resume(runId, 'test');
  }
}

/** Works at a run through connections that are cut at one commit after the other, before or after PostgreSQL carried it out. */
export async function withCuts(runId: RunId, url: string, engineOn: (client: Database) => Jobs): Promise<JobRun> {
  const cutter = await openCommitCutter(url);
  const client = createTestClient(cutter.url);
  const cuts = setInterval(
    () => cutter.cutCommit(Math.floor(Math.random() * 4), Math.random() < 0.5 ? 'before' : 'after'),
    30,
  );
  const end = setTimeout(() => clearInterval(cuts), 1_500);
  try {
    for (;;) {
      try {
        return await engineOn(client).runHere(runId, untouched);
      } catch (error) {
        // The cut came while the run was taken or let go: somebody else goes on.
        if (!(error instanceof StorageError)) throw error;
      }
    }
  } finally {
    clearInterval(cuts);
    clearTimeout(end);
    await client.close();
    await cutter.close();
  }
}
