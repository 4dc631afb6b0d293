import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { App } from '../app.ts';
import { parseConfig } from '../config.ts';
import { silentLogger } from '../core/ports.ts';
import { authenticateNobody, createAuthenticate } from './authenticate.ts';
import { buildFastify } from './build-fastify.ts';
import { createMetrics, type Metrics } from './metrics.ts';

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
}

export interface HttpServer {
  /** For inject in tests. */
  readonly fastify: FastifyInstance;
  /** @throws Error of the socket, e.g. EADDRINUSE */
  listen(host: string, port: number): Promise<{ url: string }>;
  /**
   * Drains: /readyz answers 503, new requests too, connections are not kept; waits up to 10 s for requests and streams under
   * way, then cuts them off. The app is closed by whoever opened it.
   */
  close(): Promise<void>;
}

const drainMs = 10_000;

export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { app, mode, authentication, metrics = createMetrics() } = options;
  let draining = false;
  metrics.watch({
    queued: () => ({ ...app.orders.queued(), tickets: app.tickets.queued() }),
    poolUse: () => app.db.poolUse(),
    jobKinds: () => app.jobs.kinds().map(({ name }) => name),
    unfinishedRuns: () => app.jobs.unfinished(),
  });
  const fastify = await buildFastify(
    {
      app,
      metrics,
      authenticate: authentication === 'required' ? createAuthenticate(app.keys) : authenticateNobody,
      isDraining: () => draining,
    },
    {
      localOnly: mode === 'dev' || authentication === 'none',
      idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
      bodyTimeoutMs: options.bodyTimeoutMs ?? 30_000,
    },
  );
  const running = countRunning(fastify);

  return {
    fastify,
    listen: async (host, port) => ({ url: await fastify.listen({ host, port }) }),
    async close() {
      if (draining) return;
      draining = true;
      fastify.server.closeIdleConnections();
      const late = new AbortController();
      await Promise.race([running.none(), delay(drainMs, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
      fastify.server.closeAllConnections();
      await fastify.close();
    },
  };
}

/** Counts requests between their arrival and the end of their answer, whichever way it ends. */
function countRunning(fastify: FastifyInstance) {
  let count = 0;
  const waiting: (() => void)[] = [];
  fastify.server.on('request', (_request, response) => {
    count++;
    response.once('close', () => {
      if (--count === 0) for (const resolve of waiting.splice(0)) resolve();
    });
  });
  return { none: () => (count === 0 ? Promise.resolve() : new Promise<void>((resolve) => waiting.push(resolve))) };
}

/** The OpenAPI document of the server; needs no database. */
export async function openApiDocument(): Promise<object> {
  // Routes use these only when they are called, and nothing calls them here.
  const app = { config: parseConfig({}), logger: silentLogger } as unknown as App;
  const fastify = await buildFastify(
    { app, metrics: createMetrics(), authenticate: authenticateNobody, isDraining: () => false },
    { localOnly: true, idleTimeoutMs: 0, bodyTimeoutMs: 0 },
  );
  const document = fastify.swagger();
  await fastify.close();
  return document;
}
