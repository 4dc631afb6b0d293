import { createServer } from 'node:net';
import { type App, openApp } from '../app.ts';
import type { Config } from '../config.ts';
import { startPurgeKeeper } from '../domains/tickets/ticket-purge-keeper-service.ts';
import { startRetentionKeeper } from '../domains/usage/usage-retention-keeper-service.ts';
import { createMetrics } from '../http/metrics.ts';
import { createHttpServer, type HttpServer } from '../http/server.ts';
import type { Run } from './context.ts';
import { createLogger } from './logger.ts';
import { UsageError } from './stopped.ts';

export interface ServingOptions {
  readonly run: Run;
  readonly config: Config;
  readonly databaseUrl: string;
  readonly mode: 'dev' | 'serve';
  /** After the parts are open, before the first request. */
  readonly prepare?: (app: App) => Promise<void>;
  readonly onListening: (url: string, app: App) => Promise<void>;
}

/** Serves until the process is asked to stop, then drains. @throws UsageError when the port is taken */
export async function serveUntilStopped(options: ServingOptions): Promise<void> {
  const { run, config, mode } = options;
  const metrics = createMetrics();
  const app = await openApp(config, {
    databaseUrl: options.databaseUrl,
    logger: createLogger(config.logLevel, mode === 'serve' ? run.context.stdout : run.context.stderr),
    applicationName: `milliard ${mode}`,
    version: run.context.version,
    onCommit: metrics.onCommit,
    pulse: true,
    cache: true,
  });
  try {
    await options.prepare?.(app);
    run.signal.throwIfAborted();
    const server = await createHttpServer({
      app,
      mode,
      authentication: mode === 'serve' ? 'required' : 'none',
      metrics,
      // Whoever ends `dev` at a terminal waits for no browser that keeps a connection.
      drain: mode === 'serve' ? config.http.drain : { noticeMs: 0, idleMs: 0 },
    });
    const purges = startPurgeKeeper(app);
    const retention = startRetentionKeeper({ ...app, ...config.usage });
    const rollup = app.usage.rollup.start();
    try {
      const { url } = await listen(server, config);
      const runs = serveRuns(app, run.signal);
      await options.onListening(url, app).catch((error: unknown) => {
        // Whoever greets reads the database. One that is lost in this moment must not end a server that listens already.
        run.output.warn(`Milliard serves ${url}, but: ${describeError(error)}. Requests get 503 until that is over.`);
      });
      await untilAborted(run.signal);
      run.output.note('stopping: finishing what is under way');
      // At the same time: /readyz says at once that this server is on its way out.
      await Promise.all([runs, server.close()]);
    } finally {
      await Promise.all([server.close(), purges.close(), retention.close()]);
      // After the last batch that this server takes.
      await rollup.close();
    }
  } finally {
    await app.close();
  }
}

const describeError = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');

/** Works at queued runs until the signal, then hands them back: at most two at once, so that requests come first. */
const serveRuns = (app: App, signal: AbortSignal): Promise<void> =>
  app.jobs.serve({ signal, concurrency: 2 }).catch((error: unknown) => {
    app.logger.error({ err: error }, 'queued runs are no longer taken by this server');
  });

/** Resolves when the signal is aborted; a server that was asked to stop did what it should. */
const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

async function listen(server: HttpServer, { http }: Config): Promise<{ url: string }> {
  try {
    return await server.listen(http.host, http.port);
  } catch (error) {
    throw listenFault(error, http);
  }
}

/** Looks before anything is started whether the address can be had: nobody waits for a database to learn that the port is taken. */
export async function requireFreePort(http: Config['http']): Promise<void> {
  if (http.port === 0) return;
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(listenFault(error, http)));
    probe.listen(http.port, http.host, () => probe.close(() => resolve()));
  });
}

function listenFault(error: unknown, { host, port }: Config['http']): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') {
    return new UsageError(
      `Port ${port} on ${host} is taken by another program. Stop it, or choose another: --port ${port + 1}`,
    );
  }
  if (code === 'EACCES')
    return new UsageError(`This user may not listen on port ${port}. Choose one above 1023: --port 8000`);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new UsageError(`${host} is no address of this machine. Choose another MILLIARD_HOST, e.g. 127.0.0.1`);
  }
  return error;
}
