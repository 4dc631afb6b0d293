import { setTimeout as delay } from 'node:timers/promises';
import { statement } from '../../storage/sql.ts';
import type { HttpDeps, Routes } from '../http-types.ts';

const ping = statement<{ one: number }>('ping', 'select 1 as one');
const readyWithinMs = 1_000;

/** Liveness, readiness and metrics: for the machines that watch, without a key. */
export function addHealthRoutes(routes: Routes, { app, metrics, isDraining }: HttpDeps): void {
  const config = { whileDraining: true };
  routes.get(
    '/healthz',
    { schema: { summary: 'Whether the process is alive', tags: ['health'] }, config, logLevel: 'silent' },
    async () => ({ status: 'alive' }),
  );
  routes.get(
    '/readyz',
    {
      schema: {
        summary: 'Whether requests may be sent here',
        description:
          '503 while the database cannot be reached within a second, and from the moment the server is being stopped.',
        tags: ['health'],
      },
      config,
    },
    async (_request, reply) => {
      const status = isDraining() ? 'draining' : (await isReachable(app.db)) ? 'ready' : 'database_unreachable';
      return reply.code(status === 'ready' ? 200 : 503).send({ status });
    },
  );
  routes.get(
    '/metrics',
    { schema: { summary: 'Metrics for Prometheus', tags: ['health'] }, config },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
}

async function isReachable(db: HttpDeps['app']['db']): Promise<boolean> {
  const late = new AbortController();
  try {
    const answer = db.read(ping()).then(
      () => true,
      () => false,
    );
    return await Promise.race([answer, delay(readyWithinMs, false, { signal: late.signal })]);
  } finally {
    late.abort();
  }
}
