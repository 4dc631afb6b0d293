import type { Command } from 'commander';
import { toJobDocument } from '../../http/job-representation.ts';
import type { JobThrottle } from '../../jobs/job.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import type { CliContext } from '../context.ts';
import { type DatabaseOption, withDatabaseOption, withJobs } from '../job-database.ts';
import { readRunId, readThrottle, type ThrottleOptions, withThrottleOptions } from '../job-options.ts';
import { durationText, rateText } from '../job-texts.ts';
import { UsageError } from '../stopped.ts';

/** `milliard jobs set` */
export const setCommand = (context: CliContext): Command =>
  does<ThrottleOptions & DatabaseOption>(
    withDatabaseOption(
      withThrottleOptions(
        describedCommand('set', {
          description: 'Change what holds a job back, while it runs: heeded from the next batch on.',
          examples: [
            ['milliard jobs set 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60 --rate 5000', 'at most 5,000 rows a second'],
            [
              'milliard jobs set 0197c0b9-3e00-7a5c-9f3e-5d2f8c1b7a60 --rate none --max-replica-lag 10s',
              'as fast as the replicas follow',
            ],
          ],
          exitCodes: [[1, 'it has ended, or there is none of this id']],
        }).argument('<run-id>', 'see `milliard jobs list`'),
      ),
    ),
    context,
    async (run, options, [text = '']) => {
      const runId = readRunId(text);
      const throttle = readThrottle(options);
      if (Object.keys(throttle).length === 0) {
        throw new UsageError('Say what to change: --rate, --max-replica-lag, --max-archive-backlog or --vacuum.');
      }
      const now = await withJobs(run, { ...options, purpose: 'jobs set' }, (jobs) =>
        jobs.setThrottle(runId, throttle, cliActor()),
      );
      for (const line of throttleLines(now.throttle)) run.output.say(line);
      await run.output.record(toJobDocument(now));
      return undefined;
    },
  );

const throttleLines = (throttle: JobThrottle): readonly string[] => [
  `rate             ${throttle.rowsPerSecond === null ? 'as fast as it goes' : `at most ${rateText(throttle.rowsPerSecond)}`}`,
  `replica lag      ${throttle.maxReplicaLagMs === null ? 'not heeded' : `at most ${lagText(throttle.maxReplicaLagMs)}`}`,
  `archive backlog  ${throttle.maxArchiveBacklogSegments === null ? 'not heeded' : `at most ${throttle.maxArchiveBacklogSegments} segments`}`,
  `vacuum           ${throttle.yieldsToVacuum ? 'waits for it' : 'not heeded'}`,
];

const lagText = (ms: number): string => (ms < 10_000 ? `${ms} ms` : durationText(ms));
