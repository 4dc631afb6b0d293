import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { UnfinishedRuns } from '../jobs/jobs.ts';
import { addJobGauges } from './job-metrics.ts';

const jobKinds = () => ['tickets.rotate'];
const running: UnfinishedRuns = { kind: 'tickets.rotate', state: 'running', runs: 2, oldestHeartbeatMs: 90_500 };

function metricsOf(unfinishedRuns: () => Promise<readonly UnfinishedRuns[]>) {
  const register = new Registry();
  addJobGauges([register], { jobKinds, unfinishedRuns });
  return { text: () => register.metrics() };
}
const values = (text: string) => text.split('\n').filter((line) => line.startsWith('milliard_job'));

test('unfinished runs are counted by kind and state, with the oldest heartbeat; one question a scrape', async () => {
  let questions = 0;
  let found: UnfinishedRuns[] = [running, { kind: 'old.kind', state: 'failed', runs: 1, oldestHeartbeatMs: null }];
  const { text } = metricsOf(async () => {
    questions++;
    return found;
  });
  expect(values(await text()).sort()).toEqual([
    'milliard_job_oldest_heartbeat_seconds{kind="tickets.rotate",state="running"} 90.5',
    'milliard_job_runs{kind="old.kind",state="failed"} 1',
    'milliard_job_runs{kind="tickets.rotate",state="cancelling"} 0',
    'milliard_job_runs{kind="tickets.rotate",state="failed"} 0',
    'milliard_job_runs{kind="tickets.rotate",state="paused"} 0',
    'milliard_job_runs{kind="tickets.rotate",state="queued"} 0',
    'milliard_job_runs{kind="tickets.rotate",state="running"} 2',
  ]);
  expect(questions).toBe(1);
  found = [];
  const later = values(await text());
  expect(later).toContain('milliard_job_runs{kind="tickets.rotate",state="running"} 0');
  expect(later.join('\n')).not.toMatch(/old\.kind|heartbeat/);
});

test('a question that fails leaves the values out, and the next scrape has them again', async () => {
  let isAway = true;
  const { text } = metricsOf(() => (isAway ? Promise.reject(new Error('away')) : Promise.resolve([running])));
  const without = await text();
  expect(without).toContain('# TYPE milliard_job_runs gauge');
  expect(values(without)).toEqual([]);
  isAway = false;
  expect(values(await text())).toContain('milliard_job_runs{kind="tickets.rotate",state="running"} 2');
});

test('a question that is not answered holds no scrape up and is not asked again meanwhile', async () => {
  let questions = 0;
  let answer = (_: UnfinishedRuns[]) => {};
  const { text } = metricsOf(() => {
    questions++;
    return new Promise((resolve) => {
      answer = resolve;
    });
  });
  expect(values(await text())).toEqual([]);
  expect(values(await text())).toEqual([]);
  expect(questions).toBe(1);
  answer([]);
});
