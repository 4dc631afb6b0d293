import type { Command } from 'commander';
import { describedCommand, does } from '../command.ts';
import { type CliContext, withApp } from '../context.ts';
import { type JobOptions, jobExits, readJobOptions, withJobOptions } from '../job-options.ts';
import { runJob } from '../run-job.ts';
import { values } from '../values.ts';

interface Options extends JobOptions {
  readonly count: string;
  readonly events: string;
  readonly holders?: string;
}

/** `milliard tickets generate` */
export const generateTicketsCommand = (context: CliContext): Command =>
  does<Options>(
    withJobOptions(
      describedCommand('generate', {
        description:
          'Make up tickets, each with a token, for trying things out at size. A job: `milliard jobs resume` goes on with one that was stopped.',
        examples: [
          ['milliard tickets generate --count 100000', 'of 100 events'],
          [
            'milliard tickets generate --count 1000000 --events 10 --holders 50000',
            'few events, many tickets a holder',
          ],
        ],
        exitCodes: jobExits,
      })
        .requiredOption('--count <tickets>', 'how many')
        .option('--events <count>', 'how many events share them', '100')
        .option('--holders <count>', 'how many holders share them (a quarter of --count)'),
    ),
    context,
    (run, options) => {
      const parameters = {
        count: values.integer('--count', options.count, [1, 1_000_000_000]),
        events: values.integer('--events', options.events, [1, 1_000_000]),
        ...(options.holders === undefined
          ? {}
          : { holders: values.integer('--holders', options.holders, [1, 1_000_000_000]) }),
      };
      const jobOptions = readJobOptions(options);
      return withApp(run, 'tickets generate', ({ jobs }) =>
        runJob(run, jobs, { kind: 'tickets.generate', parameters, ...jobOptions }),
      );
    },
  );
