import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import type { AdoptFacts } from './adopt-queries.ts';
import type { Fitness } from './node-fitness.ts';

/** What a server needs to become the coordinator. Each fault says what to do. */
export function judgeSingle(facts: AdoptFacts, workers: number): Fitness {
  const rules = [...settingRules(facts, workers + 1), ...contentRules(facts)];
  return {
    faults: rules.filter(([fits]) => !fits).map(([, , fault]) => fault),
    checks: rules.filter(([fits]) => fits).map(([, check]) => check),
  };
}

type Rule = readonly [fits: boolean, check: string, fault: string];

function settingRules(facts: AdoptFacts, slots: number): readonly Rule[] {
  return [
    [!facts.isStandby, 'a primary', 'This server is a standby: connect to its primary.'],
    [
      facts.isSuperuser,
      'a superuser',
      'The user of DATABASE_URL is no superuser: adding nodes and replicating need one. Run this command as one.',
    ],
    [
      facts.citus !== null || facts.available !== null,
      `extension citus ${facts.citus ?? facts.available}`,
      'This PostgreSQL has no extension citus: install it on the server, of the same version as on the workers.',
    ],
    [
      /^\s*"?citus"?\s*(,|$)/.test(facts.preload),
      'citus in shared_preload_libraries',
      `shared_preload_libraries is '${facts.preload}': set it to citus, first in the list, and restart PostgreSQL.`,
    ],
    [
      facts.walLevel === 'logical',
      'wal_level logical',
      `wal_level is ${facts.walLevel}: set it to logical and restart PostgreSQL.`,
    ],
    [
      facts.replicationSlots >= slots,
      `max_replication_slots ${facts.replicationSlots}`,
      `max_replication_slots is ${facts.replicationSlots}: ${slots} are needed, one for each worker and one more. Raise it and restart PostgreSQL.`,
    ],
    [
      facts.walSenders >= slots,
      `max_wal_senders ${facts.walSenders}`,
      `max_wal_senders is ${facts.walSenders}: ${slots} are needed, one for each worker and one more. Raise it and restart PostgreSQL.`,
    ],
    [
      facts.preparedTransactions > 0,
      `max_prepared_transactions ${facts.preparedTransactions}`,
      'max_prepared_transactions is 0: writes to several nodes need them. Set it to max_connections and restart PostgreSQL.',
    ],
    [
      facts.plugins === null || facts.plugins.split(',').some((name) => name.trim() === 'citus'),
      'output plugins',
      `output_plugin_libraries is '${facts.plugins}': set it to pgoutput, test_decoding, citus on every node and reload.`,
    ],
  ];
}

function contentRules(facts: AdoptFacts): readonly Rule[] {
  return [
    [
      facts.directWrites.length === 0,
      'no direct writes',
      'Direct writes to usage_records are enabled; they need triggers that Citus does not allow on distributed tables. Send that usage to POST /api/v1/usage/records/bulk, then run: milliard usage direct-writes disable',
    ],
    [
      facts.triggers.length === 0,
      'no triggers',
      `Citus allows no triggers on distributed tables. Drop them first: ${facts.triggers.join(', ')}.`,
    ],
    [
      facts.foreignKeys.length === 0,
      'no foreign keys of others',
      `These foreign keys would hold up the move. Drop them first: ${facts.foreignKeys.join(', ')}.`,
    ],
    [
      facts.group === null || facts.group === 0,
      'no worker of another cluster',
      'DATABASE_URL leads to a worker of a cluster: give the address of its coordinator.',
    ],
  ];
}

const isLoopback = (host: string): boolean => /^(localhost|127\.|::1$)/.test(host);

/** Why other nodes could not use this address of the coordinator; null: they could. */
export function judgeCoordinatorAddress(address: NodeAddress, workers: readonly NodeAddress[]): string | null {
  const isNear = address.host !== '' && !address.host.startsWith('/') && !isLoopback(address.host);
  if (isNear || workers.every(({ host }) => isLoopback(host))) return null;
  return `The workers cannot reach this database as ${formatNodeAddress(address)}. Say how they can: --coordinator HOST:PORT`;
}
