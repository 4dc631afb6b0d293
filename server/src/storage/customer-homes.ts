import type { Logger } from '../core/ports.ts';
import type { ConnectionOptions } from './connection.ts';
import { type CustomerLayouts, openCustomerLayouts } from './customer-layouts.ts';
import { type CustomerWrites, createCustomerWrites } from './customer-writes.ts';
import { createDatabase } from './database.ts';
import type { Salting } from './salting/salting.ts';
import { createSalting } from './salting/salting-service.ts';
import { openServerLease } from './server-lease.ts';

/** Where rows of customers stand, and the right of this process to write them there. */
export interface CustomerHomes {
  readonly layouts: CustomerLayouts;
  readonly writes: CustomerWrites;
  /** Gives customers more room. */
  readonly salting: Salting;
  /** To be called when the last write has ended. */
  close(): Promise<void>;
}

export interface CustomerHomesOptions {
  /** The coordinator, where the database is a cluster: leases and layouts are read and written in one place. */
  readonly connection: ConnectionOptions;
  readonly isCitus: boolean;
  /** For people. */
  readonly version: string;
  readonly logger: Logger;
  /** Servers write at any time: they take their lease at once and notice a hung database. Commands take it when they first write. */
  readonly isServer: boolean;
}

/** Opens connections of its own: neither long work nor many requests may keep a lease from being renewed. */
export async function openCustomerHomes(options: CustomerHomesOptions): Promise<CustomerHomes> {
  const { connection, version, logger, isServer, isCitus } = options;
  const db = createDatabase({
    ...connection,
    applicationName: `${connection.applicationName} lease`,
    statementTimeoutMs: 5_000,
    poolSize: 2,
    readClients: 1,
    ...(isServer ? { pulse: {} } : {}),
  });
  try {
    const layouts = await openCustomerLayouts(db, logger);
    const topology = isCitus ? 'citus' : 'single';
    const lease = openServerLease({
      db,
      layouts,
      application: connection.applicationName,
      version,
      topology,
      logger,
    });
    if (isServer) {
      await lease.hold().catch((error: unknown) => logger.warn({ err: error }, 'no lease to write orders yet'));
    }
    return {
      layouts,
      writes: createCustomerWrites(layouts, lease),
      salting: createSalting({ db, isCitus }),
      async close() {
        await lease.close();
        layouts.close();
        await db.close();
      },
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}
