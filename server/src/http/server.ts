import type { FastifyInstance } from 'fastify';
import type { App } from '../app.ts';
import { parseConfig } from '../config.ts';
import { silentLogger } from '../core/ports.ts';
import { authenticateNobody, createAuthenticate } from './authenticate.ts';
import { buildFastify } from './build-fastify.ts';
import { createDrain, type DrainPeriods } from './drain.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { clusterAgeMs } from './routes/cluster.ts';

export interface HttpServerOptions {
  readonly app: App;
  readonly mode: 'dev' | 'serve';
  /** `none` answers to this machine's own programs and pages only, whatever the mode. */
  readonly authentication: 'required' | 'none';
  /** The metrics whose `onCommit` the app was opened with; without them group commits are not measured. */
  readonly metrics?: Metrics;
  /** How long a socket may be idle (60 s), and a body that is no stream be under way (30 s). */
  readonly idleTimeoutMs?: number;
  readonly bodyTimeoutMs?: number;
  /** How it takes leave of its clients (at once). */
  readonly drain?: DrainPeriods;
}

export interface HttpServer {
  /** For inject in tests. */
  readonly fastify: FastifyInstance;
  /** @throws Error of the socket, e.g. EADDRINUSE */
  listen(host: string, port: number): Promise<{ url: string }>;
  /**
   * Drains: /readyz answers 503; after the notice no connection is accepted any more and kept ones are ended, see DrainPeriods;
   * then new requests get 503, and those under way up to 10 s. The app is closed by whoever opened it. May be called again.
   */
  close(): Promise<void>;
}

export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { app, mode, authentication, metrics = createMetrics() } = options;
  const drain = createDrain(options.drain ?? { noticeMs: 0, idleMs: 0 });
  metrics.watch({
    queued: () => {
      const { shipments, events } = app.shipments.queued();
      return {
        ...app.orders.queued(),
        tickets: app.tickets.queued(),
        usage: app.usage.queued(),
        shipments,
        'shipment events': events,
      };
    },
    poolUse: () => app.poolUse(),
    caches: () => app.caches.state(),
    jobKinds: () => app.jobs.kinds().map(({ name }) => name),
    unfinishedRuns: () => app.jobs.unfinished(),
    usageLag: () => app.usage.lag(),
    cluster: () => app.cluster.status({ maxAgeMs: clusterAgeMs }),
  });
  const fastify = await buildFastify(
    {
      app,
      metrics,
      authenticate: authentication === 'required' ? createAuthenticate(app.keys) : authenticateNobody,
      isDraining: drain.isDraining,
      isClosing: drain.isClosing,
    },
    {
      localOnly: mode === 'dev' || authentication === 'none',
      idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
      bodyTimeoutMs: options.bodyTimeoutMs ?? 30_000,
    },
  );
  drain.watch(fastify.server);
  let closing: Promise<void> | null = null;

  return {
    fastify,
    listen: async (host, port) => ({ url: await fastify.listen({ host, port }) }),
    close() {
      closing ??= drain.leave().then(() => fastify.close());
      return closing;
    },
  };
}

/** The OpenAPI document of the server; needs no database. */
export async function openApiDocument(): Promise<object> {
  // Routes use these only when they are called, and nothing calls them here.
  const app = { config: parseConfig({}), logger: silentLogger } as unknown as App;
  const fastify = await buildFastify(
    {
      app,
      metrics: createMetrics(),
      authenticate: authenticateNobody,
      isDraining: () => false,
      isClosing: () => false,
    },
    { localOnly: true, idleTimeoutMs: 0, bodyTimeoutMs: 0 },
  );
  const document = fastify.swagger();
  await fastify.close();
  return document;
}
