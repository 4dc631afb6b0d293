import type { Run } from './coordinator.ts';
import { type Distribution, distributedFunctions, distributionOf } from './distribution.ts';
import { StorageError } from './faults.ts';
import { dynamic, type Statement, sql } from './sql.ts';

/** How many shards a table gets unless told: few enough that a read of all of them stays cheap, enough for 16 nodes. */
export const defaultShards = 16;

export interface DistributeOptions {
  /** Shards a table, 1 to 4,096. Only before any table is distributed. Default 16. */
  readonly shards?: number;
  readonly log?: (line: string) => void;
}

export interface TableState {
  /** As in `distributionOf`. */
  readonly name: string;
  /** What it is now; null = an ordinary table of the coordinator that other nodes do not know. */
  readonly kind: Distribution | null;
  readonly colocation: number;
  readonly shards: number;
}

// Migrations are the tool's own list; nodes other than the coordinator ask it, too, whether the schema is theirs.
const kinds: Readonly<Record<string, Distribution>> = { ...distributionOf, schema_migrations: 'local' };

/** How each table is to live, in the order in which they are made so. */
export const wantedKinds: readonly (readonly [name: string, kind: Distribution])[] = Object.entries(kinds);

/** Not yet as it is to be. A table to be distributed stands as a local one while `cluster adopt` is at work. */
export const isPending = ({ name, kind }: Pick<TableState, 'name' | 'kind'>): boolean =>
  kinds[name] !== 'coordinator' && (kind === null || (kind === 'local' && kinds[name] === 'distributed'));

/**
 * Distributes what is not distributed yet, table by table, as `distributionOf` says: safe to run again at any time, also after it
 * was broken off. Tables to be distributed that already hold rows are left as they are: `milliard cluster adopt` moves those online.
 * @param run on the coordinator, outside a transaction, by one process at a time
 * @throws StorageError `schema_mismatch` when the cluster is not ready, when `shards` comes too late, or a table lives otherwise
 */
export async function distribute(run: Run, { shards, log }: DistributeOptions = {}): Promise<void> {
  const tables = await selectTables(run);
  const distributed = tables.find(({ kind }) => kind === 'distributed');
  refuseOtherwise(tables, shards, distributed);
  const missing = tables.filter(isPending);
  if (missing.length > 0) await requireNodes(run);
  await prepareNodes(run, log);
  for (const kind of ['reference', 'local'] as const) {
    for (const { name } of missing.filter((table) => kinds[table.name] === kind)) {
      if ((await kindOf(run, name)) !== null) continue;
      await run(kind === 'reference' ? makeReference(name) : addLocal(name));
      log?.(`${name}: ${placeText(kind)}`);
    }
  }
  const pending = missing.filter(({ name }) => kinds[name] === 'distributed').map(({ name }) => name);
  if (await holdRows(run, pending, log)) return;
  let first = distributed?.name ?? null;
  for (const name of pending) {
    const count = distributed?.shards ?? shards ?? defaultShards;
    // By name: without it, any table with as many shards would join the group, and hold up the moves of its shards.
    const place =
      first === null ? sql`shard_count => ${count}::int, colocate_with => 'none'` : sql`colocate_with => ${first}`;
    await run(dynamic(sql`select create_distributed_table(${name}::text::regclass, 'bucket', ${place})`));
    first ??= name;
    log?.(`${name}: ${count} shards by bucket`);
  }
}

/** Where a table of such a kind is, in words. */
export const placeText = (kind: 'reference' | 'local'): string =>
  kind === 'reference' ? 'on every node' : 'on the coordinator, known to every node';

export const makeReference = (name: string): Statement<object> =>
  dynamic(sql`select create_reference_table(${name}::text::regclass)`);

export const addLocal = (name: string): Statement<object> =>
  dynamic(sql`select citus_add_local_table_to_metadata(${name}::text::regclass, cascade_via_foreign_keys => true)`);

const selectStates = (names: readonly string[]) =>
  dynamic<TableState>(sql`
    select n.name,
           case when p.partmethod = 'h' then 'distributed' when p.partmethod <> 'n' then p.partmethod::text
                when p.repmodel = 't' then 'reference' when p.repmodel is not null then 'local' end as kind,
           coalesce(p.colocationid, 0)::int as colocation, coalesce(c.shardcount, 0)::int as shards
      from unnest(${names}::text[]) with ordinality n (name, place)
      left join pg_dist_partition p on p.logicalrelid = to_regclass(n.name)
      left join pg_dist_colocation c on c.colocationid = p.colocationid
     where to_regclass(n.name) is not null
     order by n.place`);

/** How the tables that there are live now. */
export const selectTables = (run: Run): Promise<TableState[]> => run(selectStates(Object.keys(kinds)));

const kindOf = async (run: Run, name: string) => (await run(selectStates([name])))[0]?.kind ?? null;

/** @throws StorageError `schema_mismatch` that says which tables live otherwise, or that `shards` comes too late */
export function refuseOtherwise(
  tables: readonly TableState[],
  shards: number | undefined,
  distributed: TableState | undefined,
): void {
  const wrong = tables.filter((table) => table.kind !== null && table.kind !== kinds[table.name] && !isPending(table));
  if (wrong.length > 0)
    throw mismatch(
      `These tables live otherwise on Citus than Milliard needs: ${wrong.map(({ name, kind }) => `${name} (${kind})`).join(', ')}. ` +
        'Undistribute them (undistribute_table), then run `milliard migrate` again.',
    );
  const strays = tables.filter((t) => t.kind === 'distributed' && t.colocation !== distributed?.colocation);
  if (strays.length > 0)
    throw mismatch(
      `These tables are not colocated with ${distributed?.name}: ${strays.map(({ name }) => name).join(', ')}. ` +
        `Colocate them: select update_distributed_table_colocation('TABLE', '${distributed?.name}').`,
    );
  if (shards !== undefined && distributed !== undefined && shards !== distributed.shards)
    throw mismatch(
      `The tables are already distributed, over ${distributed.shards} shards: --shards counts only before. ` +
        `To change it: select alter_distributed_table('${distributed.name}', shard_count => ${shards}, cascade_to_colocated => true).`,
    );
}

/** Whether a table that is to be distributed holds rows: then none is. */
async function holdRows(run: Run, names: readonly string[], log: DistributeOptions['log']): Promise<boolean> {
  const full: string[] = [];
  for (const name of names)
    if ((await run(dynamic(sql`select from ${sql.table(name)} limit 1`))).length > 0) full.push(name);
  if (full.length === 0) return false;
  log?.(
    `not distributed yet, for they hold rows: ${full.join(', ')}. Move them while the servers run: milliard cluster adopt`,
  );
  return true;
}

const mismatch = (message: string): StorageError => new StorageError('schema_mismatch', message);

const selectNodes = dynamic<{ hasCoordinator: boolean; hasShards: boolean }>(sql`
  select coalesce(bool_or(groupid = 0), false) as "hasCoordinator", coalesce(bool_or(shouldhaveshards and isactive), false) as "hasShards"
    from pg_dist_node`);

async function requireNodes(run: Run): Promise<void> {
  const [nodes] = await run(selectNodes);
  if (nodes?.hasCoordinator !== true)
    throw mismatch(
      `The database has the extension Citus, but its nodes do not know the coordinator. Run there: select citus_set_coordinator_host('HOST', PORT); then add the workers.`,
    );
  if (!nodes.hasShards)
    throw mismatch(
      `The Citus cluster has no worker yet. Add one on the coordinator: select citus_add_node('HOST', PORT); then run \`milliard migrate\` again.`,
    );
}

// What was made before the extension came is known to the coordinator alone, and statements call it on the workers.
const selectFunctions = dynamic<{ signature: string }>(sql`
  select p.oid::regprocedure::text as signature from pg_proc p
   where p.pronamespace = current_schema()::regnamespace and p.proname = any(${distributedFunctions}::text[])
     and not exists (select from pg_dist_object o where o.classid = 'pg_proc'::regclass and o.objid = p.oid)
   order by 1`);

// Each node for itself: where the database is an object of the cluster, workers take the setting from nobody but the coordinator,
// which passes it on; where it is none, it does not.
const jitOff = `do $$ begin
  perform set_config('citus.enable_ddl_propagation', 'off', true);
  execute format('alter database %I set jit = off', current_database());
end $$`;

/**
 * Settings of the database on every node. What nodes ask each other comes without the settings of our connections, and the plan
 * of a statement over all months is large: compiling it (JIT) took 0.3 s with empty tables and 6 s with rows, running it 23 ms.
 * To be run again when a node has come.
 */
export const setNodeDefaults = dynamic<{ isSet: boolean; result: string }>(sql`
  select success as "isSet", result from run_command_on_all_nodes(${jitOff})`);

/** Gives the nodes what they need before tables are distributed over them. Safe to run again. */
export async function prepareNodes(run: Run, log: DistributeOptions['log']): Promise<void> {
  await distributeFunctions(run, log);
  for (const { isSet, result } of await run(setNodeDefaults))
    if (!isSet) log?.(`on one node jit could not be set to off (set it there yourself): ${result}`);
}

async function distributeFunctions(run: Run, log: DistributeOptions['log']): Promise<void> {
  for (const { signature } of await run(selectFunctions)) {
    await run(dynamic(sql`select create_distributed_function(${signature}::text::regprocedure)`));
    log?.(`${signature}: on every node`);
  }
}
