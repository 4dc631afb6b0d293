import type { Command } from 'commander';
import { formatNodeAddress } from '../../core/cluster.ts';
import type { Cluster } from '../../storage/cluster/cluster.ts';
import { cliActor } from '../actor.ts';
import { bucketsOf } from '../cluster-buckets.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, type Run, withApp } from '../context.ts';

/** `milliard cluster isolate` */
export const isolateCommand = (context: CliContext): Command =>
  does<{ dryRun?: boolean }>(
    describedCommand('isolate', {
      description:
        'Give each bucket of a customer a shard of its own, on the node where it is, while orders come in. It can then be moved alone. One in 4,096 other customers shares a bucket and comes along. There is no way back but to run the database with other shards.',
      examples: [
        ['milliard cluster isolate acme --dry-run', 'which shards would be split'],
        ['milliard cluster isolate acme', 'then: milliard cluster move --customer acme --to db3:5432'],
      ],
      exitCodes: [
        [0, 'done, or each of its buckets has a shard of its own'],
        [1, 'a shard was not split: shards are being moved already, or the database is a single server'],
      ],
      endedBySignal: 'ended by Ctrl-C or SIGTERM: the shard under way stays whole',
    })
      .argument('<customer>', 'the customer; a salted one has several buckets')
      .option('--dry-run', 'only say what would be split'),
    context,
    (run, { dryRun = false }, [customerId = '']) =>
      withApp(run, 'cluster isolate', async ({ cluster, salting }) => {
        for (const bucket of await bucketsOf(salting, customerId)) await isolateOne(run, cluster, { bucket, dryRun });
        return exitCodes.done;
      }),
  );

async function isolateOne(
  { output, signal }: Run,
  cluster: Cluster,
  { bucket, dryRun }: { readonly bucket: number; readonly dryRun: boolean },
): Promise<void> {
  // Asked anew for each: splitting one gives the others of its shard other shards.
  const [shard] = await cluster.shardsOf([bucket]);
  if (shard === undefined) return output.say('No table is distributed yet: nothing to do.');
  const outcome = shard.isAlone ? 'nothing' : dryRun ? 'planned' : 'isolated';
  if (outcome === 'isolated')
    await cluster.isolate(shard, { actor: cliActor(), signal, onStep: (step) => output.note(step) });
  const node = formatNodeAddress(shard);
  await output.record({ bucket, shard: String(shard.shardId), buckets: shard.buckets.length, node, outcome });
  if (outcome === 'nothing')
    output.say(`Bucket ${bucket} has shard ${shard.shardId} on ${node} for itself: nothing to do.`);
  else if (outcome === 'planned')
    output.say(
      `Bucket ${bucket} would get a shard of its own out of ${shard.shardId}, with ${shard.buckets.length} buckets on ${node}. Nothing was changed.`,
    );
  else output.say(`Bucket ${bucket} has a shard of its own on ${node}.`);
}
