import { formatNodeAddress, type NodeAddress } from '../../core/cluster.ts';
import { DomainError } from '../../core/errors.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Session } from '../database.ts';
import { distributionOf } from '../distribution.ts';
import {
  defaultShards,
  isPending,
  refuseOtherwise,
  selectTables,
  type TableState,
  wantedKinds,
} from '../distribution-step.ts';
import { findCitus } from '../topology.ts';
import type { AdoptPlan, AdoptRequest, AdoptState, AdoptTable, OldProcess } from './adopt.ts';
import { judgeCoordinatorAddress, judgeSingle } from './adopt-fitness.ts';
import {
  type AdoptFacts,
  selectAdoptFacts,
  selectBegun,
  selectLocalGroup,
  selectOldProcesses,
  selectSizes,
  showShards,
} from './adopt-queries.ts';
import { askServer } from './cluster-nodes-service.ts';
import { canReach, selectNodes, selectServerFacts } from './cluster-queries.ts';
import { addressOf } from './cluster-service.ts';
import { judgeServer } from './node-fitness.ts';

export const unready = (faults: readonly string[]): DomainError =>
  new DomainError<'adopt_unready'>(
    'adopt_unready',
    faults.length === 1
      ? (faults[0] ?? '')
      : `This database cannot become a cluster yet:\n${faults.map((fault) => `- ${fault}`).join('\n')}`,
  );

/** What stands, and what is left to do. */
export async function planAdoption(
  on: Session,
  request: AdoptRequest,
  connection: ConnectionOptions,
): Promise<AdoptPlan> {
  const isCluster = (await on.run(findCitus())).length > 0;
  const facts = await readFacts(on, isCluster);
  const own = judgeSingle(facts, request.workers.length);
  const place = await judgePlaces(on, request, { connection, facts, isCluster });
  const states = isCluster ? await selectTables(on.run) : [];
  const faults = [...own.faults, ...place.faults, ...judgeStates(states, request)];
  return {
    isCluster,
    faults,
    checks: [...own.checks, ...place.checks],
    shards: shardsOf(states, request),
    nodes: place.nodes,
    tables: await readTables(on, states),
    processes: await oldProcesses(on),
  };
}

async function readFacts(on: Session, isCluster: boolean): Promise<AdoptFacts> {
  const distributed = Object.entries(distributionOf).flatMap(([name, kind]) => (kind === 'distributed' ? [name] : []));
  const [server] = await on.run(selectServerFacts());
  const [more] = await on.run(selectAdoptFacts(distributed));
  const [group] = isCluster ? await on.run(selectLocalGroup()) : [];
  if (server === undefined || more === undefined) throw new RangeError('The settings of a server are always one row.');
  return { ...server, ...more, group: group?.group ?? null };
}

/** Before the first table is distributed as asked for, afterwards as it is. */
const shardsOf = (states: readonly TableState[], { shards }: AdoptRequest): number =>
  states.find(({ kind }) => kind === 'distributed')?.shards ?? shards ?? defaultShards;

function judgeStates(states: readonly TableState[], { shards }: AdoptRequest): string[] {
  try {
    refuseOtherwise(
      states,
      shards ?? undefined,
      states.find(({ kind }) => kind === 'distributed'),
    );
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

interface Places {
  readonly faults: readonly string[];
  readonly checks: readonly string[];
  readonly nodes: readonly NodeAddress[];
}

interface Ground {
  readonly connection: ConnectionOptions;
  readonly facts: AdoptFacts;
  readonly isCluster: boolean;
}

const isAt = (a: NodeAddress, b: NodeAddress): boolean => a.host === b.host && a.port === b.port;

/** Whether the coordinator can be reached, and the workers are fit for it. */
async function judgePlaces(on: Session, request: AdoptRequest, ground: Ground): Promise<Places> {
  const known = ground.isCluster ? await on.run(selectNodes()) : [];
  const coordinator = coordinatorOf(request, known, ground.connection);
  const added = request.workers.filter((worker) => !known.some((node) => node.groupId !== 0 && isAt(node, worker)));
  const faults: string[] = [];
  const checks: string[] = [];
  const workers = [...known.filter(({ groupId }) => groupId !== 0), ...added];
  if (workers.length === 0) faults.push('A cluster needs a worker: name one or more, --worker HOST:PORT.');
  const far = judgeCoordinatorAddress(coordinator, workers);
  if (far !== null) faults.push(far);
  for (const worker of added) {
    const found = await judgeWorker(on, worker, ground);
    faults.push(...found.faults);
    checks.push(...found.checks);
  }
  return { faults, checks, nodes: [coordinator, ...workers] };
}

export const coordinatorOf = (
  { coordinator }: AdoptRequest,
  known: readonly (NodeAddress & { readonly groupId: number })[],
  { url }: ConnectionOptions,
): NodeAddress => {
  const found = coordinator ?? known.find(({ groupId }) => groupId === 0) ?? addressOf(url);
  return { host: found.host, port: found.port };
};

async function judgeWorker(
  on: Session,
  worker: NodeAddress,
  { connection, facts, isCluster }: Ground,
): Promise<{ faults: readonly string[]; checks: readonly string[] }> {
  const name = formatNodeAddress(worker);
  try {
    const there = await askServer(worker, connection);
    // What the coordinator has not yet, it will have.
    const judged = judgeServer(there.facts, { ...facts, citus: facts.citus ?? facts.available }, there.nodes);
    const faults = [...judged.faults];
    if (isCluster && (await on.run(canReach(worker)))[0]?.reaches !== true)
      faults.push('this database cannot connect to it (pg_hba.conf, ~/.pgpass)');
    return faults.length === 0
      ? { faults, checks: [`${name} is fit to be a worker`] }
      : { faults: [`${name} cannot be a worker: ${faults.join('; ')}.`], checks: [] };
  } catch (error) {
    if (error instanceof DomainError) return { faults: [error.message], checks: [] };
    throw error;
  }
}

/** Every table, in the order in which it is adopted. */
export async function readTables(on: Session, states: readonly TableState[]): Promise<AdoptTable[]> {
  const isCluster = states.length > 0;
  const names = wantedKinds.map(([name]) => name);
  if (isCluster) await on.run(showShards());
  const sizes = new Map((await on.run(selectSizes(names, isCluster))).map((size) => [size.name, size]));
  return wantedKinds.flatMap(([name, kind]) => {
    const size = sizes.get(name);
    if (size === undefined) return [];
    const state = stateOf(states.find((other) => other.name === name) ?? { name, kind: null });
    return [{ name, kind, state, bytes: Number(size.bytes), rowsEstimate: Number(size.rows), pieces: size.pieces }];
  });
}

function stateOf(table: Pick<TableState, 'name' | 'kind'>): AdoptState {
  if (!isPending(table)) return 'done';
  return table.kind === null ? 'waiting' : 'prepared';
}

/** Who took the database for a single server when it connected, and is still there. */
export async function oldProcesses(on: Session): Promise<readonly OldProcess[]> {
  const [begun] = await on.run(selectBegun());
  return on.run(selectOldProcesses(begun?.begunAt ?? null));
}
