import type { Command } from 'commander';
import { formatNodeAddress } from '../../core/cluster.ts';
import type { FailoverPlan, FailoverRequest } from '../../storage/cluster/failover.ts';
import { createFailover } from '../../storage/cluster/failover-service.ts';
import { cliActor } from '../actor.ts';
import { bytesText, readAddress } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run } from '../context.ts';
import { UsageError } from '../stopped.ts';

interface FailoverOptions {
  readonly to: string;
  readonly switchedOff?: boolean;
  readonly dryRun?: boolean;
}

/** Longer than a promotion may take. */
const statementTimeoutMs = 90_000;

/** `milliard cluster failover` */
export const failoverCommand = (context: CliContext): Command =>
  does<FailoverOptions>(
    describedCommand('failover', {
      description:
        'Put the streaming standby of a lost server in its place: promotes it, gives it the place of the lost one in the metadata of every node, and ends the transactions that were left prepared. Commits that would wait for standbys that are not there do so no more. A server that still answers as a primary is never replaced. Safe to run again: it does what is not done yet. With a synchronous standby nothing acknowledged is lost, else the last moments may be. On a single server it promotes the standby and says what DATABASE_URL has to be.',
      examples: [
        ['milliard cluster failover db1:5432 --to db1-standby:5432 --dry-run', 'only looks whether it could'],
        ['milliard cluster failover db1:5432 --to db1-standby:5432', 'db1 is dead: its standby takes over'],
      ],
      exitCodes: [
        [0, 'done, or the standby has the place already; what is left to do is told'],
        [
          1,
          'the server is alive or may be, the other one is no copy of it, or the promotion failed; the message says how far it came',
        ],
      ],
    })
      .argument('<host:port>', 'the lost server, as `milliard cluster status` names it')
      .requiredOption('--to <host:port>', 'its standby, as the other nodes shall reach it')
      .option('--switched-off', 'the lost server gives no answer at all, and you have made sure that it is off')
      .option('--dry-run', 'only look'),
    context,
    async (run, options, [text = '']) => {
      const node = readAddress('The node', text);
      const to = readAddress('--to', options.to);
      if (formatNodeAddress(node) === formatNodeAddress(to))
        throw new UsageError('--to is the node itself: name its standby.');
      return failOver(run, { node, to, isOff: options.switchedOff === true }, options.dryRun === true);
    },
  );

async function failOver(run: Run, request: FailoverRequest, isDry: boolean): Promise<number> {
  const { database } = run.config();
  if (database.url === null)
    throw new UsageError('The embedded database has no standby: name your server in DATABASE_URL.');
  // Not by the app: what DATABASE_URL leads to may be the very server that was lost.
  const failover = createFailover({
    connection: { ...database, url: database.url, statementTimeoutMs, applicationName: 'milliard cluster failover' },
  });
  const startedMs = performance.now();
  const { output } = run;
  if (isDry) {
    const plan = await failover.plan(request);
    await output.record({ ...recordOf(request, plan), dry_run: true, outcome: isOver(plan) ? 'nothing' : 'planned' });
    showPlan(run, request, plan);
    return exitCodes.done;
  }
  const outcome = await failover.run({ ...request, actor: cliActor(), onStep: (step) => output.note(step) });
  const tookMs = Math.round(performance.now() - startedMs);
  await output.record({
    ...recordOf(request, outcome),
    dry_run: false,
    outcome: isOver(outcome) ? 'nothing' : 'failed-over',
    recovered: outcome.recovered,
    prepared_left: outcome.preparedLeft,
    done: outcome.done,
    remains: outcome.remains,
    took_ms: tookMs,
  });
  if (isOver(outcome)) output.say(`${formatNodeAddress(request.to)} has the place already.`);
  for (const sentence of outcome.done) output.say(sentence);
  output.say(`Took ${(tookMs / 1_000).toFixed(1)} s. What remains:`);
  for (const sentence of outcome.remains) output.say(`- ${sentence}`);
  return exitCodes.done;
}

const isOver = ({ promotes, redirects }: FailoverPlan): boolean => !promotes && !redirects;

const recordOf = ({ node, to }: FailoverRequest, plan: FailoverPlan) => ({
  node: formatNodeAddress(node),
  to: formatNodeAddress(to),
  role: plan.role,
  lost: plan.lost,
  promotes: plan.promotes,
  redirects: plan.redirects,
  unreplayed_bytes: plan.unreplayedBytes,
  checks: plan.checks,
});

function showPlan({ output }: Run, request: FailoverRequest, plan: FailoverPlan): void {
  const [node, to] = [formatNodeAddress(request.node), formatNodeAddress(request.to)];
  output.say(`${to}: ${plan.checks.join('; ')}.`);
  if (isOver(plan)) {
    output.say(`${to} has the place already: nothing to do. Nothing was changed.`);
    return;
  }
  const steps = [
    ...(plan.promotes ? [`be promoted, after replaying ${bytesText(plan.unreplayedBytes)} of WAL`] : []),
    ...(plan.redirects ? [`get the place of ${node} on every node`] : []),
  ];
  output.say(`It would ${steps.join(', then ')}. Nothing was changed.`);
  if (plan.role !== 'worker') output.note('Servers have to go there then: DATABASE_URL.');
}
