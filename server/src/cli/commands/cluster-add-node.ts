import type { Command } from 'commander';
import { formatNodeAddress } from '../../core/cluster.ts';
import { cliActor } from '../actor.ts';
import { readAddress } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, withApp } from '../context.ts';

/** `milliard cluster add-node` */
export const addNodeCommand = (context: CliContext): Command =>
  does<{ dryRun?: boolean }>(
    describedCommand('add-node', {
      description:
        'Make a server a node of the cluster, after looking whether it can be one: reachable from here and from the coordinator, the same PostgreSQL, database and extension, settings no smaller, and empty. It holds no shards before `milliard cluster rebalance`. Nothing waits. A node that was drained takes shards again.',
      examples: [
        ['milliard cluster add-node db3:5432 --dry-run', 'only looks'],
        ['milliard cluster add-node db3:5432', 'then: milliard cluster rebalance'],
      ],
      exitCodes: [
        [0, 'done, or it is a node already'],
        [1, 'nothing was changed: the server is unfit (every reason is told), or the database is a single server'],
      ],
    })
      .argument('<host:port>', 'the server, as the other nodes reach it')
      .option('--dry-run', 'only look'),
    context,
    async (run, { dryRun = false }, [text = '']) => {
      const address = readAddress('The node', text);
      return withApp(run, 'cluster add-node', async ({ cluster }) => {
        const { outcome, checks } = dryRun
          ? await cluster.planNode(address)
          : await cluster.addNode(address, cliActor());
        const node = formatNodeAddress(address);
        await run.output.record({ node, dry_run: dryRun, outcome, checks });
        if (checks.length > 0) run.output.say(`Fits: ${checks.join(', ')}.`);
        if (outcome === 'nothing') run.output.say(`${node} is a node already: nothing to do.`);
        else if (dryRun) run.output.say(`${node} would be added. Nothing was changed.`);
        else {
          run.output.say(`${node} is a node now and takes shards.`);
          run.output.note('Give it some: milliard cluster rebalance');
        }
        return exitCodes.done;
      });
    },
  );
