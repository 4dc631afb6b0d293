import type { Command } from 'commander';
import type { App } from '../../app.ts';
import { maxWays } from '../../core/customer-layout.ts';
import { describeHolder } from '../../storage/salting/drain-service.ts';
import { cliActor } from '../actor.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';
import { values } from '../values.ts';

interface SaltOptions {
  readonly ways: string;
  readonly dryRun?: boolean;
}

/** `milliard cluster salt` */
export const saltCommand = (context: CliContext): Command =>
  does<SaltOptions>(
    describedCommand('salt', {
      description:
        'Spread the new orders of a customer over more buckets, so that no single one holds them all. What is stored stays where it is and is found as before. Only this customer waits, for two seconds at most. On a single server it prepares for the day when there are several.',
      examples: [
        ['milliard cluster salt acme --ways 4', 'its new orders go to four buckets'],
        ['milliard cluster salt acme --ways 8 --dry-run', 'says what it would do and who would have to learn of it'],
      ],
      exitCodes: [
        [0, 'done, or the customer has so many ways already'],
        [1, 'nothing was changed: fewer ways than it has, another salt is at work, or a server held it up'],
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM: the customer keeps the layout it had',
    })
      .argument('<customer>', 'the customer; it may be one that has no orders yet')
      .requiredOption('--ways <n>', `how many, more than it has: up to ${maxWays}`)
      .option('--dry-run', 'change nothing'),
    context,
    async (run, options, [customerId = '']) => {
      if (customerId === '' || customerId.length > 200)
        throw new UsageError('The customer must have 1 to 200 characters.');
      const ways = values.integer('--ways', options.ways, [1, maxWays]);
      return withApp(run, 'cluster salt', (app) =>
        options.dryRun === true ? showPlan(run, app, { customerId, ways }) : salt(run, app, { customerId, ways }),
      );
    },
  );

interface Wanted {
  readonly customerId: string;
  readonly ways: number;
}

async function showPlan({ output }: Run, { salting, server }: App, { customerId, ways }: Wanted): Promise<number> {
  const plan = await salting.plan(customerId, ways);
  const isThere = plan.waysBefore === ways;
  await output.record({
    customer_id: customerId,
    dry_run: true,
    ways_before: plan.waysBefore,
    ways,
    buckets: plan.buckets,
    servers: plan.holders.length,
    topology: server.topology,
  });
  if (isThere) output.say(`${customerId} has ${waysText(ways)} already: nothing to do.`);
  else {
    output.say(`${customerId}: ${waysText(plan.waysBefore)} now, ${waysText(ways)} then.`);
    output.say(`Buckets: ${plan.buckets.join(', ')}. Nothing was changed.`);
    for (const holder of plan.holders) output.say(`Would have to learn of it: ${describeHolder(holder)}`);
    if (server.topology === 'single') output.note(singleHint);
  }
  return exitCodes.done;
}

async function salt({ output, signal }: Run, { salting, server }: App, { customerId, ways }: Wanted): Promise<number> {
  const { kind, waysBefore, pausedMs, servers } = await salting.salt({
    customerId,
    ways,
    actor: cliActor(),
    signal,
    onStep: (step) => output.note(step),
    onWaiting: (holders) => {
      for (const holder of holders)
        output.note(`waiting until it answers or its lease ends: ${describeHolder(holder)}`);
    },
  });
  await output.record({
    customer_id: customerId,
    outcome: kind,
    ways_before: waysBefore,
    ways,
    paused_ms: Math.round(pausedMs),
    servers,
  });
  if (kind === 'nothing') output.say(`${customerId} has ${waysText(ways)} already: nothing to do.`);
  else {
    output.say(
      `${customerId}: ${waysText(waysBefore)} before, ${waysText(ways)} now. Its orders waited ${Math.round(pausedMs)} ms at most.`,
    );
    if (server.topology === 'single') output.note(singleHint);
  }
  return exitCodes.done;
}

const singleHint = 'On a single server this only prepares: the buckets are spread once the database is a cluster.';

const waysText = (ways: number): string => (ways === 1 ? '1 way' : `${ways} ways`);
