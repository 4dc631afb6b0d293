import type { Command } from 'commander';
import { describedCommand } from '../command.ts';
import type { CliContext } from '../context.ts';
import { addNodeCommand } from './cluster-add-node.ts';
import { adoptCommand } from './cluster-adopt.ts';
import { drainNodeCommand } from './cluster-drain-node.ts';
import { failoverCommand } from './cluster-failover.ts';
import { isolateCommand } from './cluster-isolate.ts';
import { moveCommand } from './cluster-move.ts';
import { rebalanceCommand } from './cluster-rebalance.ts';
import { saltCommand } from './cluster-salt.ts';
import { saltsCommand } from './cluster-salts.ts';
import { clusterStatusCommand } from './cluster-status.ts';

/** `milliard cluster status|adopt|add-node|rebalance|drain-node|failover|move|isolate|salt|salts` */
export const clusterCommand = (context: CliContext): Command =>
  describedCommand('cluster', {
    description:
      'The nodes of the database and how the rows lie on them: add and empty nodes, move shards, spread a customer, all while orders come in.',
    examples: [
      ['milliard cluster status', 'nodes, bytes, skew, who is hot, what is left over'],
      ['milliard cluster add-node db3:5432', 'a new node; then: milliard cluster rebalance'],
      ['milliard cluster salt acme --ways 4', 'new orders of acme go to four buckets'],
      ['milliard cluster salts', 'the customers that have more than one'],
    ],
  })
    .addCommand(clusterStatusCommand(context))
    .addCommand(adoptCommand(context))
    .addCommand(addNodeCommand(context))
    .addCommand(rebalanceCommand(context))
    .addCommand(drainNodeCommand(context))
    .addCommand(failoverCommand(context))
    .addCommand(moveCommand(context))
    .addCommand(isolateCommand(context))
    .addCommand(saltCommand(context))
    .addCommand(saltsCommand(context));
