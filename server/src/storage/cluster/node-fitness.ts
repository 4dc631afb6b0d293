import type { ServerFacts } from './cluster-queries.ts';

/** What a server must be to become a node: why it is not, and what was found good. */
export interface Fitness {
  readonly faults: readonly string[];
  readonly checks: readonly string[];
}

const atLeast = [
  ['max_prepared_transactions', 'preparedTransactions'],
  ['max_replication_slots', 'replicationSlots'],
  ['max_wal_senders', 'walSenders'],
  ['max_worker_processes', 'workerProcesses'],
] as const satisfies readonly (readonly [string, keyof ServerFacts])[];

const majorOf = (version: number): number => Math.floor(version / 10_000);

/** Compares a server with the coordinator. @param nodes how many nodes the server knows */
export function judgeServer(server: ServerFacts, coordinator: ServerFacts, nodes: number): Fitness {
  const rules: readonly (readonly [fits: boolean, check: string, fault: string])[] = [
    [
      majorOf(server.version) === majorOf(coordinator.version),
      `PostgreSQL ${majorOf(coordinator.version)}`,
      `it is PostgreSQL ${majorOf(server.version)}, the coordinator ${majorOf(coordinator.version)}`,
    ],
    [!server.isStandby, 'a primary', 'it is a standby: promote it first'],
    [
      /^\s*"?citus"?\s*(,|$)/.test(server.preload),
      'citus in shared_preload_libraries',
      `shared_preload_libraries is '${server.preload}': citus must be the first there (then restart it)`,
    ],
    [
      server.citus === coordinator.citus,
      `extension citus ${coordinator.citus}`,
      server.citus === null
        ? 'its database has no extension citus: CREATE EXTENSION citus'
        : `it has citus ${server.citus}, the coordinator ${coordinator.citus}: ALTER EXTENSION citus UPDATE`,
    ],
    [server.walLevel === 'logical', 'wal_level logical', `wal_level is ${server.walLevel}: moves need logical`],
    ...atLeast.map(([name, key]): readonly [boolean, string, string] => [
      server[key] >= coordinator[key],
      `${name} ${server[key]}`,
      `${name} is ${server[key]}, less than the coordinator's ${coordinator[key]}`,
    ]),
    [
      server.plugins === null || namesOf(server.plugins).includes('citus'),
      'output plugins',
      `output_plugin_libraries is '${server.plugins}': splits need pgoutput, test_decoding, citus`,
    ],
    [server.tables.length === 0, 'empty', `its database has tables: ${server.tables.join(', ')}`],
    [
      nodes === 0,
      'in no other cluster',
      'it is a node of a cluster already: citus_remove_node there, or take a new database',
    ],
  ];
  return {
    faults: rules.filter(([fits]) => !fits).map(([, , fault]) => fault),
    checks: rules.filter(([fits]) => fits).map(([, check]) => check),
  };
}

const namesOf = (list: string): string[] => list.split(',').map((name) => name.replace(/["'\s]/g, ''));
