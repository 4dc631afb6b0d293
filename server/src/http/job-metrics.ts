import { setTimeout as delay } from 'node:timers/promises';
import { Gauge, type Registry } from 'prom-client';
import type { JobState } from '../jobs/job.ts';
import type { UnfinishedRuns } from '../jobs/jobs.ts';

export interface JobMetricSources {
  jobKinds(): readonly string[];
  unfinishedRuns(): Promise<readonly UnfinishedRuns[]>;
}

const unfinishedStates = ['queued', 'running', 'paused', 'cancelling', 'failed'] as const satisfies readonly JobState[];

// A scrape must not wait for a database that hangs: the other metrics say the most just then.
const answerWithinMs = 1_000;

/** Gauges of runs, from one statement a scrape. While the database cannot be asked they have no values; the rest of /metrics has. */
export function addJobGauges(registers: Registry[], sources: JobMetricSources): void {
  const ask = createAsk(sources.unfinishedRuns);
  const runs = new Gauge({
    name: 'milliard_job_runs',
    help: 'Unfinished runs of jobs by kind and state.',
    labelNames: ['kind', 'state'],
    registers,
    async collect() {
      const found = await ask();
      runs.reset();
      if (found === null) return;
      for (const kind of sources.jobKinds()) for (const state of unfinishedStates) runs.set({ kind, state }, 0);
      for (const { kind, state, runs: count } of found) runs.set({ kind, state }, count);
    },
  });
  const silence = new Gauge({
    name: 'milliard_job_oldest_heartbeat_seconds',
    help: 'Age of the oldest sign of life among runs that a process works at or should. Above a minute: nobody works at one of them.',
    labelNames: ['kind', 'state'],
    registers,
    async collect() {
      const found = await ask();
      silence.reset();
      for (const { kind, state, oldestHeartbeatMs } of found ?? [])
        if (oldestHeartbeatMs !== null) silence.set({ kind, state }, Math.max(0, oldestHeartbeatMs) / 1_000);
    },
  });
}

/** The gauges of a scrape share one question, and so do scrapes while an older one is not answered: never two at once. */
export function createAsk<Answer>(question: () => Promise<Answer>): () => Promise<Answer | null> {
  let asking: Promise<Answer | null> | null = null;
  return async () => {
    asking ??= Promise.resolve()
      .then(question)
      .catch(() => null)
      .finally(() => {
        asking = null;
      });
    const late = new AbortController();
    try {
      return await Promise.race([asking, delay(answerWithinMs, null, { signal: late.signal }).catch(() => null)]);
    } finally {
      late.abort();
    }
  };
}
