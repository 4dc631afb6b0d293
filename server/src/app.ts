import type { Config } from './config.ts';
import type { Logger } from './core/ports.ts';
import { type Clock, type Month, systemClock } from './core/time.ts';
import { type ApiKeys, createApiKeys } from './domains/access/api-keys-service.ts';
import { createOrderGenerateKind } from './domains/orders/order-generate-jobs.ts';
import { createOrderImportKind } from './domains/orders/order-import-jobs.ts';
import { createOrderVerifyKind } from './domains/orders/order-verify-jobs.ts';
import { createOrders, type Orders } from './domains/orders/orders-service.ts';
import { regenerateUuidKind } from './domains/regeneration/regenerate-uuid-jobs.ts';
import { createShipmentGenerateKind } from './domains/shipments/shipment-generate-jobs.ts';
import { createShipmentVerifyKind } from './domains/shipments/shipment-verify-jobs.ts';
import { createShipments, type Shipments } from './domains/shipments/shipments-service.ts';
import { createTicketGenerateKind } from './domains/tickets/ticket-generate-jobs.ts';
import { purgeTokensKind } from './domains/tickets/ticket-purge-jobs.ts';
import { rotateTokensKind } from './domains/tickets/ticket-rotate-jobs.ts';
import { createTickets, type Tickets } from './domains/tickets/tickets-service.ts';
import { usageKinds } from './domains/usage/usage-jobs.ts';
import { openUsage, type Usage } from './domains/usage/usage-service.ts';
import { createImportFiles } from './flows/import-files.ts';
import type { JobKind } from './jobs/job.ts';
import type { Jobs } from './jobs/jobs.ts';
import { createJobs } from './jobs/jobs-service.ts';
import { type Caches, noCaches, openCaches } from './storage/cache/caches.ts';
import type { Adoption } from './storage/cluster/adopt.ts';
import { createAdoption } from './storage/cluster/adopt-service.ts';
import type { Cluster } from './storage/cluster/cluster.ts';
import { createCluster } from './storage/cluster/cluster-service.ts';
import { findCoordinatorUrl } from './storage/coordinator.ts';
import { type CustomerHomes, openCustomerHomes } from './storage/customer-homes.ts';
import { createDatabase, type Database } from './storage/database.ts';
import { type NodeMap, oneNode, openNodeMap } from './storage/node-map.ts';
import { createNodeWays } from './storage/node-ways.ts';
import { startPartitionKeeper } from './storage/partition-keeper.ts';
import { createRoutedDatabase } from './storage/routed-database.ts';
import type { Salting } from './storage/salting/salting.ts';
import { recogniseServer, type Server } from './storage/topology.ts';

/** Everything a server or a command works with. */
export interface App {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly db: Database;
  readonly server: Server;
  readonly orders: Orders;
  readonly tickets: Tickets;
  readonly shipments: Shipments;
  readonly usage: Usage;
  readonly keys: ApiKeys;
  readonly caches: Caches;
  readonly jobs: Jobs;
  readonly salting: Salting;
  readonly cluster: Cluster;
  readonly adoption: Adoption;
  /** How busy the connections are: of requests and, apart, of long work. */
  poolUse(): Readonly<Record<'requests' | 'jobs', ReturnType<Database['poolUse']>>>;
  /** Finishes the writes it took, then lets go of the database. */
  close(): Promise<void>;
}

export interface AppOptions {
  /** The database: DATABASE_URL or the embedded server's. Migrated already. */
  readonly databaseUrl: string;
  readonly logger: Logger;
  readonly applicationName: string;
  /** Of Milliard, for people who look at who is connected. */
  readonly version?: string;
  readonly clock?: Clock;
  readonly onCommit?: (queue: string, rows: number, durationMs: number) => void;
  /** Whether a hung database is told like a lost one within two seconds (servers) or waited for (commands, the default). */
  readonly pulse?: boolean;
  /** Whether look-ups go through the cache (servers) or ask the database each time (commands, the default). */
  readonly cache?: boolean;
}

/** What was opened, so that it can be closed the other way round. */
interface Opened {
  add(close: () => Promise<void> | void): void;
  closeAll(): Promise<void>;
}

function createOpened(): Opened {
  const closers: (() => Promise<void> | void)[] = [];
  return {
    add: (close) => void closers.unshift(close),
    async closeAll() {
      for (const close of closers.splice(0)) await close();
    },
  };
}

/** Builds every part from the configuration; decides nothing. */
export async function openApp(config: Config, options: AppOptions): Promise<App> {
  const opened = createOpened();
  try {
    return await buildApp(config, options, opened);
  } catch (error) {
    await opened.closeAll();
    throw error;
  }
}

async function buildApp(config: Config, options: AppOptions, opened: Opened): Promise<App> {
  const { logger, clock = systemClock } = options;
  const databases = await openDatabases(config, options, opened);
  const { db, jobsDb, server, homes } = databases;
  const caches = await openCachesOf(config, options, databases);
  opened.add(() => caches.close());
  const keeper = await startPartitionKeeper({ db, clock, logger });
  opened.add(() => keeper.close());
  const domains = await openDomains(config, options, { ...databases, caches, months: () => keeper.months() });
  const { orders, tickets, shipments, usage } = domains;
  const { databaseUrl: url, applicationName } = options;
  const connection = { ...config.database, url, applicationName };
  return {
    ...{ config, logger, clock, db, server, caches, ...domains },
    salting: homes.salting,
    cluster: createCluster({ db: jobsDb, topology: server.topology, connection, clock }),
    adoption: createAdoption({ db: jobsDb, connection }),
    keys: createApiKeys({ db, clock, caches, graceMs: caches === noCaches ? 0 : config.cache.graceMs }),
    jobs: createJobs({ db: jobsDb, logger, kinds: kindsOf(domains, clock, config) }),
    poolUse: () => ({ requests: db.poolUse(), jobs: jobsDb.poolUse() }),
    async close() {
      await Promise.all([orders.drain(), tickets.drain(), shipments.drain(), usage.drain()]);
      await opened.closeAll();
    },
  };
}

/** The connections of a process, by what they are for, and what they lead to. */
interface Databases {
  /** Of requests: to whatever node DATABASE_URL names, and straight to those that hold the rows. */
  readonly db: Database;
  /** Of long work. */
  readonly jobsDb: Database;
  readonly server: Server;
  readonly homes: CustomerHomes;
  readonly nodes: NodeMap;
}

/** Two runs of two ranges each, their heartbeats, and who starts or pauses one. */
const jobConnections = 8;

async function openDatabases(config: Config, options: AppOptions, opened: Opened): Promise<Databases> {
  const { databaseUrl, applicationName, version = '', logger } = options;
  const isServer = options.pulse === true;
  const onChange = (answers: boolean) => logPulse(logger, answers);
  const connection = { ...config.database, url: databaseUrl, applicationName };
  const central = createDatabase({ ...connection, ...(isServer ? { pulse: { onChange } } : {}) });
  opened.add(() => central.close());
  const server = await recogniseServer(central);
  const isCitus = server.topology === 'citus';
  const centralUrl = isCitus ? await findCoordinatorUrl(central.query, databaseUrl) : databaseUrl;
  // Long work has connections of its own: its statements (counting, proving) may take longer than any request, and requests never
  // wait for one that a batch holds. Of Citus they lead to the coordinator, where the tables of jobs are.
  const jobsDb = createDatabase({
    ...{ ...config.database, url: centralUrl, applicationName: `${applicationName} jobs` },
    ...{ statementTimeoutMs: 0, poolSize: jobConnections, readClients: 1 },
    ...(isServer ? { pulse: {} } : {}),
  });
  opened.add(() => jobsDb.close());
  const homes = await openCustomerHomes({
    connection: { ...config.database, url: centralUrl, applicationName },
    ...{ isCitus, version, logger, isServer },
  });
  opened.add(() => homes.close());
  const nodes = isCitus ? await openNodeMap({ db: central, logger }) : oneNode;
  opened.add(() => nodes.close());
  if (!isCitus || !isServer) return { db: central, jobsDb, server, homes, nodes };
  const ways = createNodeWays({ nodes, connection, onChange: logNode(logger) });
  const db = createRoutedDatabase(central, ways);
  opened.add(() => db.close());
  return { db, jobsDb, server, homes, nodes };
}

/** Commands ask the database each time; what they change they announce all the same. */
async function openCachesOf(
  { cache, redisUrl, database }: Config,
  { cache: isWanted, databaseUrl: url, applicationName: name, logger }: AppOptions,
  { db, server }: Pick<Databases, 'db' | 'server'>,
): Promise<Caches> {
  if (isWanted !== true || !cache.enabled) return noCaches;
  const connection = { ...database, url, applicationName: `${name} cache` };
  return openCaches({ db, server, connection, settings: { ...cache, redisUrl }, logger });
}

type Domains = Pick<App, 'orders' | 'tickets' | 'shipments' | 'usage'>;

async function openDomains(
  config: Config,
  { logger, clock = systemClock, onCommit }: AppOptions,
  {
    db,
    server,
    nodes,
    homes: { layouts, writes },
    ...parts
  }: Databases & { readonly caches: Caches; readonly months: () => readonly Month[] },
): Promise<Domains> {
  const writing = {
    ...{ db, nodes, caches: parts.caches, clock },
    ...{ defaultCurrency: config.currency, groupCommit: config.groupCommit },
    ...(onCommit === undefined ? {} : { onCommit }),
  };
  return {
    orders: createOrders({ ...writing, layouts, writes, months: parts.months }),
    tickets: createTickets(writing),
    shipments: createShipments(writing),
    usage: await openUsage({ ...writing, ...config.usage, logger, isCitus: server.topology === 'citus' }),
  };
}

function kindsOf(
  { orders: { writer }, shipments, usage }: Domains,
  clock: Clock,
  { currency: defaultCurrency }: Config,
): readonly JobKind[] {
  const files = createImportFiles();
  return [
    createOrderGenerateKind({ writer, clock, defaultCurrency }),
    createOrderImportKind({ writer, defaultCurrency, files }),
    createOrderVerifyKind(),
    createShipmentGenerateKind({ clock, defaultCurrency }),
    shipments.imports.kind({ files }),
    createShipmentVerifyKind({ clock }),
    ...usageKinds({ usage, clock, files }),
    createTicketGenerateKind(clock),
    rotateTokensKind(),
    purgeTokensKind(),
    regenerateUuidKind(),
  ];
}

const logNode =
  (logger: Logger) =>
  (node: string, answers: boolean): void => {
    if (answers) logger.info({ node }, 'the node answers again');
    else logger.warn({ node }, 'the node gives no sign of life: what it holds is asked for by way of the others');
  };

function logPulse(logger: Logger, answers: boolean): void {
  if (answers) logger.info({}, 'the database answers again');
  else logger.warn({}, 'the database gives no sign of life: requests are answered with 503 until it does');
}
