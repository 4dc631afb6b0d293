import type { Command } from 'commander';
import { formatNodeAddress } from '../../core/cluster.ts';
import { toMovesDocument } from '../../http/cluster-representation.ts';
import type { Cluster } from '../../storage/cluster/cluster.ts';
import { cliActor } from '../actor.ts';
import { leaveMoves, watchMoves } from '../cluster-moves.ts';
import { bytesText } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';

interface RebalanceOptions {
  readonly dryRun?: boolean;
  readonly detach?: boolean;
  readonly cancel?: boolean;
}

/** `milliard cluster rebalance` */
export const rebalanceCommand = (context: CliContext): Command =>
  does<RebalanceOptions>(
    describedCommand('rebalance', {
      description:
        'Move shards until the nodes hold about as many bytes each. Orders come in meanwhile: a shard waits some tenths of a second at the end of its own move. The cluster does it in the background, whatever becomes of this command; while it does, this shows how far it is.',
      examples: [
        ['milliard cluster rebalance --dry-run', 'what would go where'],
        ['milliard cluster rebalance', 'begins it, or shows the one that goes on'],
        ['milliard cluster rebalance --detach', 'begins it and comes back at once'],
        ['milliard cluster rebalance --cancel', 'ends it; what has moved stays there'],
      ],
      exitCodes: [
        [0, 'done, or nothing is to be moved'],
        [1, 'a move failed, or the database is a single server'],
        [5, 'it was cancelled'],
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM: the moves go on in the cluster; the same command shows them',
    })
      .option('--dry-run', 'only say what would be moved')
      .option('--detach', 'do not wait for its end')
      .option('--cancel', 'end the one that goes on'),
    context,
    (run, options) => {
      if (Object.values(options).filter((flag) => flag === true).length > 1)
        throw new UsageError('Give only one of --dry-run, --detach and --cancel.');
      return withApp(run, 'cluster rebalance', ({ cluster }) => {
        if (options.dryRun === true) return showPlan(run, cluster);
        if (options.cancel === true) return cancel(run, cluster);
        return rebalance(run, cluster, options.detach === true);
      });
    },
  );

async function showPlan({ output }: Run, cluster: Cluster): Promise<number> {
  const plan = await cluster.planRebalance();
  for (const { shardId, bytes, from, to } of plan)
    await output.record({ shard: String(shardId), bytes, from: formatNodeAddress(from), to: formatNodeAddress(to) });
  if (plan.length === 0) output.say('The nodes are even: nothing would be moved.');
  else if (!output.json) {
    output.table(
      ['SHARD', 'BYTES', 'FROM', 'TO'],
      plan.map(({ shardId, bytes, from, to }) => [
        String(shardId),
        bytesText(bytes),
        formatNodeAddress(from),
        formatNodeAddress(to),
      ]),
    );
    output.say(`${plan.length} groups of shards would be moved. Nothing was changed.`);
  }
  return exitCodes.done;
}

async function cancel({ output }: Run, cluster: Cluster): Promise<number> {
  const moves = await cluster.cancelMoves(cliActor());
  if (moves === null) output.say('No shards are being moved: nothing to do.');
  else {
    await output.record(toMovesDocument(moves));
    output.say(`${moves.state}: background job ${moves.jobId}. What has moved stays where it is now.`);
  }
  return exitCodes.done;
}

async function rebalance(run: Run, cluster: Cluster, detach: boolean): Promise<number> {
  const moves = await cluster.startRebalance(cliActor());
  if (moves === null) {
    await run.output.record({ state: 'nothing' });
    run.output.say('The nodes are even: nothing is to be moved.');
    return exitCodes.done;
  }
  return detach ? leaveMoves(run, moves) : watchMoves(run, cluster, moves);
}
