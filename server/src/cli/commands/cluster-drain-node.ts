import type { Command } from 'commander';
import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import type { Cluster } from '../../storage/cluster/cluster.ts';
import { cliActor } from '../actor.ts';
import { watchMoves } from '../cluster-moves.ts';
import { readAddress } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';

interface DrainOptions {
  readonly dryRun?: boolean;
  readonly remove?: boolean;
}

/** `milliard cluster drain-node` */
export const drainNodeCommand = (context: CliContext): Command =>
  does<DrainOptions>(
    describedCommand('drain-node', {
      description:
        'Move every shard away from a node, while orders come in, so that it can be taken out of service. From then on no shard is placed there; `milliard cluster add-node` with its address takes that back.',
      examples: [
        ['milliard cluster drain-node db3:5432 --dry-run', 'what would leave it'],
        ['milliard cluster drain-node db3:5432 --remove', 'and takes it out of the cluster when it is empty'],
      ],
      exitCodes: [
        [0, 'the node holds no shard'],
        [1, 'a move failed, no other node takes shards, or the database is a single server'],
        [5, 'it was cancelled: the node takes no new shards, and keeps those it has'],
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM: the moves go on in the cluster, the node is not removed',
    })
      .argument('<host:port>', 'the node, as `milliard cluster status` names it')
      .option('--remove', 'take it out of the cluster when it is empty')
      .option('--dry-run', 'only say what would be moved'),
    context,
    (run, options, [text = '']) => {
      const address = readAddress('The node', text);
      return withApp(run, 'cluster drain-node', ({ cluster }) =>
        options.dryRun === true ? showPlan(run, cluster, address) : drain(run, cluster, { address, ...options }),
      );
    },
  );

async function showPlan({ output }: Run, cluster: Cluster, address: NodeAddress): Promise<number> {
  const shards = await cluster.planDrain(address);
  await output.record({
    node: formatNodeAddress(address),
    dry_run: true,
    shards: shards.map(({ shardId }) => String(shardId)),
  });
  output.say(`${shards.length} groups of shards would leave ${formatNodeAddress(address)}. Nothing was changed.`);
  return exitCodes.done;
}

async function drain(
  run: Run,
  cluster: Cluster,
  { address, remove }: DrainOptions & { readonly address: NodeAddress },
): Promise<number> {
  const { output, signal } = run;
  const node = formatNodeAddress(address);
  const moves = await cluster.startDrain(address, cliActor());
  const code = moves === null ? exitCodes.done : await watchMoves(run, cluster, moves);
  if (code !== exitCodes.done) return code;
  if (remove === true)
    await cluster.removeNode(address, { actor: cliActor(), signal, onStep: (step) => output.note(step) });
  await output.record({ node, state: remove === true ? 'removed' : 'empty' });
  output.say(remove === true ? `${node} is no node any more.` : `${node} holds no shard.`);
  if (remove !== true) output.note(`Take it out of the cluster: milliard cluster drain-node ${node} --remove`);
  return exitCodes.done;
}
