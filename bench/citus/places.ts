import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../server/src/storage/database.ts';
import { distributionOf } from '../../server/src/storage/distribution.ts';
import { migrate } from '../../server/src/storage/migrator.ts';
import { findCitus, startCitusCluster } from '../../server/src/testing/citus-cluster.ts';
import { startCitusNode } from '../../server/src/testing/citus-node.ts';
import { runCommand } from '../harness/command.ts';
import { openDatabase } from '../harness/database.ts';
import { MissingTool } from '../harness/missing-tool.ts';
import { type Running, startServer } from '../harness/processes.ts';
import { from, seed, to } from '../shipments/population.ts';
import { untilRolledUp } from '../usage/database.ts';
import { type CitusScale, shards, zipf } from './scale.ts';

/** One PostgreSQL or a cluster, with the same rows and a server of its own that caches nothing. */
export interface Place {
  /** 0 = one PostgreSQL without Citus. */
  readonly workers: number;
  /** The server of Milliard. */
  readonly url: string;
  /** A superuser's, of the coordinator. */
  readonly databaseUrl: string;
  readonly db: Database;
  /** Runs a command of the product on it. */
  readonly env: Record<string, string>;
}

/** The name of a place in an order of measuring. */
export const nameOf = ({ workers }: Pick<Place, 'workers'>): string => (workers === 0 ? 'single' : `${workers}w`);

const dataSeed = 11;

interface Nodes {
  readonly databaseUrl: string;
  stop(): Promise<void>;
}

/** All commits on disk, as on the single server: what is compared are databases that keep what they acknowledge. */
async function startCluster(workers: number): Promise<Nodes> {
  const cluster = await startCitusCluster({ workers, durable: true });
  return { databaseUrl: cluster.coordinatorUrl, stop: cluster.stop };
}

/** The very programs that the nodes run, without the extension and what it asks for. */
async function startSingle(bin: string): Promise<Nodes> {
  const settings = { shared_preload_libraries: '', wal_level: 'replica' };
  const node = await startCitusNode({ bin, role: 'coordinator', database: 'postgres', settings });
  return { databaseUrl: node.url, stop: node.remove };
}

/** The same data everywhere: what is drawn by lot follows from a seed, but for ids and tokens. */
export const generateOrders = (
  env: Record<string, string>,
  { orders, seed: lot }: { readonly orders: number; readonly seed: number },
) =>
  runCommand(
    [
      ...['orders', 'generate', '--count', String(orders), '--customers', String(Math.ceil(orders / 10))],
      ...['--zipf', String(zipf), '--seed', String(lot), '--json'],
    ],
    env,
  );

async function fill(env: Record<string, string>, scale: CitusScale): Promise<void> {
  await generateOrders(env, { orders: scale.orders, seed: dataSeed });
  const shipments = ['shipments', 'generate', '--count', String(scale.shipments), '--seed', String(seed)];
  await runCommand([...shipments, '--from', from, '--to', to, '--json'], env);
  await runCommand(['tickets', 'generate', '--count', String(scale.tickets), '--json'], env);
  const usage = ['usage', 'generate', '--count', String(scale.usageRecords), '--seed', String(dataSeed)];
  await runCommand([...usage, '--subscriptions', String(scale.subscriptions), '--days', '7', '--json'], env);
}

/** What autovacuum does within a minute; and who is measured pays for its own writes only. */
async function settle(db: Database): Promise<void> {
  const tables = Object.entries(distributionOf).filter(([, kind]) => kind === 'distributed');
  await db.session(async (session) => {
    await session.script(`vacuum analyze ${tables.map(([name]) => name).join(', ')}`);
    await session.script('checkpoint');
  });
}

/** One while another waits for its disk. @throws what one of them throws, after all have come to an end */
async function openTwoAtOnce(
  workers: readonly number[],
  open: (count: number) => Promise<Place>,
): Promise<readonly Place[]> {
  const lanes = [0, 1].map(async (lane) => {
    const places: Place[] = [];
    for (const count of workers.filter((_, i) => i % 2 === lane)) places.push(await open(count));
    return places;
  });
  const ended = await Promise.allSettled(lanes);
  const failed = ended.find((lane) => lane.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  const places = ended.flatMap((lane) => (lane.status === 'fulfilled' ? lane.value : []));
  return places.sort((a, b) => a.workers - b.workers);
}

/** Runs `work` on one PostgreSQL and on clusters of so many workers, filled alike, and removes them all. @throws MissingTool */
export async function withPlaces<T>(
  { workers, scale, log }: { workers: readonly number[]; scale: CitusScale; log: (line: string) => void },
  work: (places: readonly Place[]) => Promise<T>,
): Promise<T> {
  const bin = findCitus();
  if (bin === null)
    throw new MissingTool(
      'This bench needs a PostgreSQL 15 or newer with the extension Citus (https://github.com/citusdata/citus): name the folder of its programs in MILLIARD_TEST_CITUS_BIN.',
    );
  const dir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  const opened: { stop(): Promise<unknown> }[] = [];
  const open = async (count: number): Promise<Place> => {
    const startedMs = performance.now();
    const nodes = await (count === 0 ? startSingle(bin) : startCluster(count));
    opened.push(nodes);
    const { databaseUrl } = nodes;
    await migrate({ url: databaseUrl, ...(count === 0 ? {} : { shards }) });
    const env = { DATABASE_URL: databaseUrl, MILLIARD_CACHE: 'off' };
    await fill(env, scale);
    const db = openDatabase(databaseUrl);
    opened.push({ stop: () => db.close() });
    const server: Running = await startServer(join(dir, nameOf({ workers: count })), env);
    opened.push({ stop: async () => server[Symbol.asyncDispose]() });
    await untilRolledUp(databaseUrl);
    await settle(db);
    log(`${nameOf({ workers: count })}: filled in ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`);
    return { workers: count, url: server.url, databaseUrl, db, env };
  };
  try {
    return await work(await openTwoAtOnce(workers, open));
  } finally {
    for (const one of opened.toReversed()) await one.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
