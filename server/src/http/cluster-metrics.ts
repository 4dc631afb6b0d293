import { Gauge, type Registry } from 'prom-client';
import { formatNodeAddress } from '../core/cluster.ts';
import type { ClusterNode, ClusterStatus, NodeFacts } from '../storage/cluster/cluster.ts';
import { createAsk } from './job-metrics.ts';

export interface ClusterMetricSources {
  /** Answers again what it answered some seconds ago. */
  cluster(): Promise<ClusterStatus>;
}

/** Gauges of the nodes of the database. While nobody can be asked they have no values. */
export function addClusterGauges(registers: Registry[], { cluster }: ClusterMetricSources): void {
  const ask = createAsk(cluster);
  const perNode = (name: string, help: string, amountOf: (node: ClusterNode) => number | null): void => {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['node', 'role'],
      registers,
      async collect() {
        const status = await ask();
        gauge.reset();
        for (const node of status?.nodes ?? []) {
          const amount = amountOf(node);
          if (amount !== null) gauge.set({ node: formatNodeAddress(node), role: node.role }, amount);
        }
      },
    });
  };
  const fact = (amountOf: (facts: NodeFacts) => number) => (node: ClusterNode) =>
    node.facts === null ? null : amountOf(node.facts);
  perNode('milliard_cluster_node_up', 'Whether a node of the database answered.', ({ facts }) =>
    facts === null ? 0 : 1,
  );
  perNode(
    'milliard_cluster_node_shards',
    'Groups of shards on a node.',
    fact(({ shards }) => shards),
  );
  perNode(
    'milliard_cluster_node_bytes',
    "Bytes of a node's shards with their indexes.",
    fact(({ bytes }) => bytes),
  );
  perNode(
    'milliard_cluster_node_rows',
    "Rows in a node's shards, as the last ANALYZE estimated.",
    fact(({ rowsEstimate }) => rowsEstimate),
  );
  perNode(
    'milliard_cluster_prepared_transactions',
    'Transactions that Citus prepared on a node and did not end yet. Above 0 for minutes: a node was lost; they hold locks.',
    fact(({ prepared }) => prepared),
  );
  const skew = new Gauge({
    name: 'milliard_cluster_skew',
    help: 'The fullest node against the mean: of bytes and of estimated rows. 1 = all alike; no value without shards.',
    labelNames: ['of'],
    registers,
    async collect() {
      const status = await ask();
      skew.reset();
      for (const of of ['bytes', 'rows'] as const) {
        const amount = status?.skew[of] ?? null;
        if (amount !== null) skew.set({ of }, amount);
      }
    },
  });
}
