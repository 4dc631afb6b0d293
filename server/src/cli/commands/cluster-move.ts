import type { Command } from 'commander';
import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import type { BucketShard, Cluster } from '../../storage/cluster/cluster.ts';
import { cliActor } from '../actor.ts';
import { bucketsOf, readBucket } from '../cluster-buckets.ts';
import { readAddress } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';
import { UsageError } from '../stopped.ts';

interface MoveOptions {
  readonly customer?: string;
  readonly bucket?: string;
  readonly to: string;
  readonly dryRun?: boolean;
}

/** `milliard cluster move` */
export const moveCommand = (context: CliContext): Command =>
  does<MoveOptions>(
    describedCommand('move', {
      description:
        'Move the shards of a customer, or of one bucket, to another node, while orders come in. A shard holds many buckets: its other customers go along; `milliard cluster isolate` gives one a shard of its own first.',
      examples: [
        ['milliard cluster move --customer acme --to db3:5432', 'all shards that hold orders of acme'],
        ['milliard cluster move --bucket 1234 --to db3:5432 --dry-run', 'which shard that is, and who goes along'],
      ],
      exitCodes: [
        [0, 'done, or it is there already'],
        [
          1,
          'a shard was not moved: shards are being moved already, the node is unknown, or the database is a single server',
        ],
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM: the shard under way stays where it was',
    })
      .option('--customer <id>', 'the shards of this customer')
      .option('--bucket <n>', 'the shard of this bucket, 0 to 4095')
      .requiredOption('--to <host:port>', 'a node, as `milliard cluster status` names it')
      .option('--dry-run', 'only say what would be moved'),
    context,
    (run, options) => {
      const to = readAddress('--to', options.to);
      const { customer, bucket } = options;
      if ((customer === undefined) === (bucket === undefined))
        throw new UsageError('Say what to move: --customer ID or --bucket N.');
      const only = bucket === undefined ? null : readBucket(bucket);
      return withApp(run, 'cluster move', async ({ cluster, salting }) => {
        const buckets = only === null ? await bucketsOf(salting, customer ?? '') : [only];
        const shards = await cluster.shardsOf(buckets);
        const isDry = options.dryRun === true;
        for (const shard of shards) await moveOne(run, cluster, { shard, to, isDry });
        return exitCodes.done;
      });
    },
  );

interface Move {
  readonly shard: BucketShard;
  readonly to: NodeAddress;
  readonly isDry: boolean;
}

async function moveOne({ output, signal }: Run, cluster: Cluster, { shard, to, isDry }: Move): Promise<void> {
  const [from, target] = [formatNodeAddress(shard), formatNodeAddress(to)];
  const startedMs = performance.now();
  const outcome = from === target ? 'nothing' : isDry ? 'planned' : 'moved';
  if (outcome === 'moved')
    await cluster.move(shard, to, { actor: cliActor(), signal, onStep: (step) => output.note(step) });
  await output.record({
    shard: String(shard.shardId),
    bucket: shard.bucket,
    buckets: shard.buckets.length,
    from,
    to: target,
    outcome,
    took_ms: Math.round(performance.now() - startedMs),
  });
  const what = `Shard ${shard.shardId} (${shard.buckets.length} buckets)`;
  if (outcome === 'nothing') output.say(`${what} is on ${target} already: nothing to do.`);
  else if (outcome === 'planned') output.say(`${what} would go from ${from} to ${target}. Nothing was changed.`);
  else
    output.say(`${what} went from ${from} to ${target} in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s.`);
}
