import type { Command } from 'commander';
import { formatNodeAddress } from '../../core/cluster.ts';
import { toClusterDocument } from '../../http/cluster-representation.ts';
import type { ClusterNode, ClusterStatus } from '../../storage/cluster/cluster.ts';
import { howToGrow } from '../../storage/cluster/cluster-service.ts';
import { bytesText, movesText } from '../cluster-texts.ts';
import { describedCommand, does } from '../command.ts';
import { type CliContext, exitCodes, withApp } from '../context.ts';
import { countText, durationText } from '../job-texts.ts';
import type { Output } from '../output.ts';

/** `milliard cluster status` */
export const clusterStatusCommand = (context: CliContext): Command =>
  does(
    describedCommand('status', {
      description:
        'The nodes of the database: whether they answer, shards, bytes and rows on each and how even that is, the hottest buckets and whose they are, standbys, transactions that were left prepared, the newest rebalance. On a single server: its size, and what it would need to grow.',
      examples: [
        ['milliard cluster status', 'a look'],
        ['milliard cluster status --json | jq .skew', 'for an alarm'],
      ],
      exitCodes: [[0, 'told; also when a node does not answer, which is named']],
    }),
    context,
    (run) =>
      withApp(run, 'cluster status', async ({ cluster }) => {
        const status = await cluster.status();
        await run.output.record(toClusterDocument(status));
        if (run.output.json) return exitCodes.done;
        showNodes(run.output, status);
        if (status.topology === 'single') run.output.note(howToGrow);
        else showCluster(run.output, status);
        return exitCodes.done;
      }),
  );

function showNodes(output: Output, { nodes }: ClusterStatus): void {
  output.table(
    ['NODE', 'ROLE', 'STATE', 'SHARDS', 'BYTES', 'ROWS ~', 'DATABASE'],
    nodes.map((node) => [
      formatNodeAddress(node),
      node.role,
      stateOf(node),
      node.facts === null ? '?' : String(node.facts.shards),
      node.facts === null ? '?' : bytesText(node.facts.bytes),
      node.facts === null ? '?' : countText(node.facts.rowsEstimate),
      node.facts === null ? '?' : bytesText(node.facts.databaseBytes),
    ]),
  );
  for (const node of nodes)
    if (node.facts === null) output.warn(`${formatNodeAddress(node)} does not answer: ${node.fault ?? 'unknown'}`);
}

function stateOf({ facts, isActive, takesShards, role }: ClusterNode): string {
  if (facts === null) return 'does not answer';
  if (!isActive) return 'not active';
  return takesShards || role !== 'worker' ? 'up' : 'up, takes no shards';
}

function showCluster(output: Output, status: ClusterStatus): void {
  const { skew, shards, hottest, moves, nodes } = status;
  const ratio = (value: number | null): string => (value === null ? 'nothing to compare' : value.toFixed(2));
  output.say(
    `Shards of each table: ${shards}. Fullest node / mean: bytes ${ratio(skew.bytes)}, rows ~${ratio(skew.rows)}.`,
  );
  for (const { name, address, state, syncState, lagBytes, of } of standbysOf(nodes))
    output.say(
      `Standby of ${of}: ${name} at ${address ?? 'a socket'}, ${state}, ${syncState}, ${lagBytes === null ? 'lag unknown' : `${bytesText(lagBytes)} behind`}.`,
    );
  if (standbysOf(nodes).length === 0) output.say('Standbys: none.');
  for (const node of nodes) {
    const { prepared = 0, oldestPreparedMs } = node.facts ?? {};
    if (prepared > 0)
      output.warn(
        `${formatNodeAddress(node)}: ${prepared} transactions are prepared and not ended, the oldest for ${durationText(oldestPreparedMs ?? 0)}. Citus ends them within a minute; by hand: select recover_prepared_transactions()`,
      );
  }
  if (moves !== null) output.say(`Newest moves of shards: ${moves.state}, ${movesText(moves)}.`);
  if (hottest === null) {
    output.note(
      "The hottest customers are not counted. Switch it on, on the coordinator: select run_command_on_all_nodes('alter system set citus.stat_tenants_track = ''all'''); select run_command_on_all_nodes('select pg_reload_conf()');",
    );
    return;
  }
  output.table(
    ['BUCKET', 'CUSTOMER', 'QUERIES', 'CPU S'],
    hottest.map(({ bucket, customerId, queries, cpuSeconds }) => [
      bucket,
      customerId ?? '-',
      countText(queries),
      cpuSeconds.toFixed(2),
    ]),
  );
}

const standbysOf = (nodes: readonly ClusterNode[]) =>
  nodes.flatMap((node) => (node.facts?.standbys ?? []).map((standby) => ({ ...standby, of: formatNodeAddress(node) })));
