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
import { openCustomerLayouts } from './storage/customer-layouts.ts';
import { createDatabase, type Database } from './storage/database.ts';
import { startPartitionKeeper } from './storage/partition-keeper.ts';
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
  readonly clock?: Clock;
  readonly onCommit?: (queue: string, rows: number, durationMs: number) => void;
  /** Whether a hung database is told like a lost one within two seconds (servers) or waited for (commands, the default). */
  readonly pulse?: boolean;
  /** Whether look-ups go through the cache (servers) or ask the database each time (commands, the default). */
  readonly cache?: boolean;
}

/** Commands ask the database each time; what they change they announce all the same. */
async function cachesOf(
  { cache, redisUrl, database }: Config,
  { cache: isWanted, databaseUrl: url, applicationName: name, logger }: AppOptions,
  { db, server }: { readonly db: Database; readonly server: Server },
): Promise<Caches> {
  if (isWanted !== true || !cache.enabled) return noCaches;
  const connection = { ...database, url, applicationName: `${name} cache` };
  return openCaches({ db, server, connection, settings: { ...cache, redisUrl }, logger });
}

/** Two runs of two ranges each, their heartbeats, and who starts or pauses one. */
const jobConnections = 8;

/** Builds every part from the configuration; decides nothing. */
export async function openApp(config: Config, options: AppOptions): Promise<App> {
  const { logger, clock = systemClock } = options;
  const db = createDatabase({
    ...config.database,
    url: options.databaseUrl,
    applicationName: options.applicationName,
    ...(options.pulse === true ? { pulse: { onChange: (answers) => logPulse(logger, answers) } } : {}),
  });
  const jobsDb = openJobsDatabase(config, options);
  let caches = noCaches;
  const closeDatabases = async () => {
    caches.close();
    await Promise.all([db.close(), jobsDb.close()]);
  };
  try {
    const server = await recogniseServer(db);
    caches = await cachesOf(config, options, { db, server });
    const keeper = await startPartitionKeeper({ db, clock, logger });
    const layouts = await openCustomerLayouts(db, logger).catch((error: unknown) => {
      keeper.close();
      throw error;
    });
    const writing = {
      db,
      caches,
      clock,
      defaultCurrency: config.currency,
      groupCommit: config.groupCommit,
      ...(options.onCommit === undefined ? {} : { onCommit: options.onCommit }),
    };
    const orders = createOrders({ ...writing, layouts, months: (): readonly Month[] => keeper.months() });
    const tickets = createTickets(writing);
    const shipments = createShipments(writing);
    const usage = await openUsage({ ...writing, ...config.usage, logger, isCitus: server.topology === 'citus' }).catch(
      (error: unknown) => {
        layouts.close();
        keeper.close();
        throw error;
      },
    );
    return {
      config,
      logger,
      clock,
      db,
      server,
      orders,
      tickets,
      shipments,
      usage,
      caches,
      keys: createApiKeys({ db, clock, caches, graceMs: caches === noCaches ? 0 : config.cache.graceMs }),
      jobs: createJobs({
        db: jobsDb,
        logger,
        kinds: kindsOf({ orders, shipments, usage }, clock, config),
      }),
      poolUse: () => ({ requests: db.poolUse(), jobs: jobsDb.poolUse() }),
      async close() {
        await Promise.all([orders.drain(), tickets.drain(), shipments.drain(), usage.drain()]);
        layouts.close();
        keeper.close();
        await closeDatabases();
      },
    };
  } catch (error) {
    await closeDatabases();
    throw error;
  }
}

function kindsOf(
  {
    orders: { writer },
    shipments,
    usage,
  }: { readonly orders: Orders; readonly shipments: Shipments; readonly usage: Usage },
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

/**
 * Long work has connections of its own: its statements (counting, proving) may take longer than any request, and requests
 * never wait for one that a batch holds.
 */
function openJobsDatabase(config: Config, options: AppOptions): Database {
  return createDatabase({
    ...config.database,
    url: options.databaseUrl,
    applicationName: `${options.applicationName} jobs`,
    statementTimeoutMs: 0,
    poolSize: jobConnections,
    readClients: 1,
    ...(options.pulse === true ? { pulse: {} } : {}),
  });
}

function logPulse(logger: Logger, answers: boolean): void {
  if (answers) logger.info({}, 'the database answers again');
  else logger.warn({}, 'the database gives no sign of life: requests are answered with 503 until it does');
}
