import type { Config } from './config.ts';
import type { Logger } from './core/ports.ts';
import { type Clock, type Month, systemClock } from './core/time.ts';
import { type ApiKeys, createApiKeys } from './domains/access/api-keys-service.ts';
import { createOrderGenerateKind } from './domains/orders/order-generate-jobs.ts';
import { createOrderImportKind } from './domains/orders/order-import-jobs.ts';
import { createOrderVerifyKind } from './domains/orders/order-verify-jobs.ts';
import { createOrders, type Orders } from './domains/orders/orders-service.ts';
import { regenerateUuidKind } from './domains/regeneration/regenerate-uuid-jobs.ts';
import { createTicketGenerateKind } from './domains/tickets/ticket-generate-jobs.ts';
import { purgeTokensKind } from './domains/tickets/ticket-purge-jobs.ts';
import { rotateTokensKind } from './domains/tickets/ticket-rotate-jobs.ts';
import { createTickets, type Tickets } from './domains/tickets/tickets-service.ts';
import { createImportFiles } from './flows/import-files.ts';
import type { JobKind } from './jobs/job.ts';
import type { Jobs } from './jobs/jobs.ts';
import { createJobs } from './jobs/jobs-service.ts';
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
  readonly keys: ApiKeys;
  readonly jobs: Jobs;
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
  // Long work has connections of its own: its statements (counting, proving) may take longer than any request, and requests
  // never wait for one that a batch holds.
  const jobsDb = createDatabase({
    ...config.database,
    url: options.databaseUrl,
    applicationName: `${options.applicationName} jobs`,
    statementTimeoutMs: 0,
    poolSize: jobConnections,
    readClients: 1,
    ...(options.pulse === true ? { pulse: {} } : {}),
  });
  const closeDatabases = () => Promise.all([db.close(), jobsDb.close()]);
  try {
    const server = await recogniseServer(db);
    const keeper = await startPartitionKeeper({ db, clock, logger });
    const layouts = await openCustomerLayouts(db, logger).catch((error: unknown) => {
      keeper.close();
      throw error;
    });
    const orders = createOrders({
      db,
      layouts,
      clock,
      defaultCurrency: config.currency,
      months: (): readonly Month[] => keeper.months(),
      groupCommit: config.groupCommit,
      ...(options.onCommit === undefined ? {} : { onCommit: options.onCommit }),
    });
    const tickets = createTickets({
      db,
      clock,
      groupCommit: config.groupCommit,
      ...(options.onCommit === undefined ? {} : { onCommit: options.onCommit }),
    });
    return {
      config,
      logger,
      clock,
      db,
      server,
      orders,
      tickets,
      keys: createApiKeys({ db, clock }),
      jobs: createJobs({
        db: jobsDb,
        logger,
        kinds: kindsOf(orders, clock, config),
      }),
      async close() {
        await Promise.all([orders.drain(), tickets.drain()]);
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

function kindsOf({ writer }: Orders, clock: Clock, { currency: defaultCurrency }: Config): readonly JobKind[] {
  return [
    createOrderGenerateKind({ writer, clock, defaultCurrency }),
    createOrderImportKind({ writer, defaultCurrency, files: createImportFiles() }),
    createOrderVerifyKind(),
    createTicketGenerateKind(clock),
    rotateTokensKind(),
    purgeTokensKind(),
    regenerateUuidKind(),
  ];
}

function logPulse(logger: Logger, answers: boolean): void {
  if (answers) logger.info({}, 'the database answers again');
  else logger.warn({}, 'the database gives no sign of life: requests are answered with 503 until it does');
}
