import { afterAll } from 'vitest';
import { type App, openApp } from '../app.ts';
import { type Config, parseConfig } from '../config.ts';
import { type Logger, silentLogger } from '../core/ports.ts';
import type { Scope } from '../domains/access/api-key.ts';
import { createMetrics } from '../http/metrics.ts';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../http/server.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Database } from '../storage/database.ts';
import { withAdmin } from './admin.ts';
import { testDatabase } from './test-database.ts';

export interface TestApi {
  readonly app: App;
  readonly server: HttpServer;
  /** Of the database, for looking behind the API. */
  readonly databaseUrl: string;
  /** Rows of every table that requests write. */
  rowCounts(): Promise<Record<string, number>>;
  /** An API key, as it is sent. */
  key(...scopes: Scope[]): Promise<string>;
}

export interface TestApiOptions extends Partial<Omit<HttpServerOptions, 'app' | 'metrics'>> {
  readonly http?: Partial<Config['http']>;
  readonly database?: Partial<Config['database']>;
  readonly cache?: Partial<Config['cache']>;
  readonly logger?: Logger;
  /** Another way to the database, e.g. one that can be cut. */
  readonly databaseUrl?: string;
  /** An engine with kinds of the test's own in place of the product's. */
  readonly jobs?: (db: Database) => Jobs;
}

/** The whole HTTP server on a database of the test file's own; closed when its tests have ended. */
export async function openTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const { url } = await testDatabase();
  const standard = parseConfig({});
  const config: Config = {
    ...standard,
    http: { ...standard.http, ...options.http },
    database: { ...standard.database, poolSize: 4, readClients: 1, ...options.database },
    cache: { ...standard.cache, ...options.cache },
  };
  const metrics = createMetrics();
  const databaseUrl = options.databaseUrl ?? url;
  const logger = options.logger ?? silentLogger;
  const opened = await openApp(config, {
    databaseUrl,
    logger,
    applicationName: 'milliard test',
    onCommit: metrics.onCommit,
    cache: true,
  });
  const app: App = options.jobs === undefined ? opened : { ...opened, jobs: options.jobs(opened.db) };
  const server = await createHttpServer({ mode: 'dev', authentication: 'none', ...options, app, metrics });
  afterAll(async () => {
    await server.close();
    await app.close();
  });
  return {
    app,
    server,
    databaseUrl: url,
    rowCounts: () =>
      withAdmin(url, async (admin) => {
        const counts: Record<string, number> = {};
        for (const table of [
          'orders',
          'order_statuses',
          'order_keys',
          'tickets',
          'ticket_keys',
          'ticket_tokens',
          'shipments',
          'shipment_articles',
          'shipment_events',
          'usage_batches',
          'usage_records',
          'usage_adjustments',
          'usage_daily',
          'usage_totals',
          'api_keys',
          'audit_log',
          'customer_salts',
        ]) {
          const { rows } = await admin.query<{ count: string }>(`select count(*) as count from ${table}`);
          counts[table] = Number(rows[0]?.count);
        }
        return counts;
      }),
    key: async (...scopes) => (await app.keys.create({ name: 'test', scopes, actor: 'test' })).text,
  };
}
