import type { Config } from './config.ts';
import type { Logger } from './core/ports.ts';
import { type Clock, type Month, systemClock } from './core/time.ts';
import { type ApiKeys, createApiKeys } from './domains/access/api-keys-service.ts';
import { createOrders, type Orders } from './domains/orders/orders-service.ts';
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
  readonly keys: ApiKeys;
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
}

/** Builds every part from the configuration; decides nothing. */
export async function openApp(config: Config, options: AppOptions): Promise<App> {
  const { logger, clock = systemClock } = options;
  const db = createDatabase({ ...config.database, url: options.databaseUrl, applicationName: options.applicationName });
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
    return {
      config,
      logger,
      clock,
      db,
      server,
      orders,
      keys: createApiKeys({ db, clock }),
      async close() {
        await orders.drain();
        layouts.close();
        keeper.close();
        await db.close();
      },
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}
