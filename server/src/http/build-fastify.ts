import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { addCloudEventBodies } from './cloud-events.ts';
import { addErrorAnswers, answerClientError } from './error-answers.ts';
import { failureOf, problemOf, problemText } from './failure.ts';
import type { HttpDeps, Routes } from './http-types.ts';
import { addJsonBodies } from './json-body.ts';
import { openApiOptions } from './openapi.ts';
import { problemMediaType, problemTypeOf } from './problems.ts';
import { addRequestHooks, type HookOptions } from './request-hooks.ts';
import { pathOf, requestIdOf } from './requests.ts';
import { addClusterRoutes } from './routes/cluster.ts';
import { addDocsRoutes } from './routes/docs.ts';
import { addHealthRoutes } from './routes/health.ts';
import { addJobControlRoutes } from './routes/job-control.ts';
import { addJobEventsRoute } from './routes/job-events.ts';
import { addJobRoutes } from './routes/jobs.ts';
import { addOrderStatusBulkRoute } from './routes/order-statuses-bulk.ts';
import { addOrderRoutes } from './routes/orders.ts';
import { addOrderBulkRoute } from './routes/orders-bulk.ts';
import { addOrderExportRoute } from './routes/orders-export.ts';
import { addOrderHistogramRoute } from './routes/orders-histogram.ts';
import { addOrderListRoutes } from './routes/orders-list.ts';
import { addProblemRoutes } from './routes/problems.ts';
import { addShipmentEventBulkRoute } from './routes/shipment-events-bulk.ts';
import { addShipmentRoutes } from './routes/shipments.ts';
import { addShipmentBulkRoute } from './routes/shipments-bulk.ts';
import { addShipmentWriteRoutes } from './routes/shipments-write.ts';
import { addTicketTokenRoutes } from './routes/ticket-tokens.ts';
import { addTicketRoutes } from './routes/tickets.ts';
import { addTicketBulkRoute } from './routes/tickets-bulk.ts';
import { addTrackRoute } from './routes/track.ts';
import { addUsageBulkRoute } from './routes/usage-bulk.ts';
import { addUsageCorrectionRoutes } from './routes/usage-corrections.ts';
import { addUsageMetricsRoute } from './routes/usage-metrics.ts';
import { addUsageOverLimitRoute } from './routes/usage-over-limit.ts';
import { addUsageRecordRoute } from './routes/usage-records.ts';
import { addUsageStatusRoutes } from './routes/usage-status.ts';
import { addUsageSubscriptionRoutes } from './routes/usage-subscriptions.ts';
import { addUsageTypeRoutes } from './routes/usage-types.ts';
import { addValidation } from './validation.ts';

export interface BuildOptions extends HookOptions {
  /** A socket on which nothing moves for so long is closed: slow senders and slow readers alike. */
  readonly idleTimeoutMs: number;
}

/** Fastify with every route of the server, not listening yet. */
export async function buildFastify(deps: HttpDeps, options: BuildOptions): Promise<FastifyInstance> {
  const fastify = createFastify(deps, options);
  addErrorAnswers(fastify, deps.app.logger);
  addValidation(fastify);
  addJsonBodies(fastify);
  addRequestHooks(fastify, deps, options);
  fastify.decorateRequest('caller');
  await fastify.register(swagger, openApiOptions);

  const routes: Routes = fastify.withTypeProvider();
  addHealthRoutes(routes, deps);
  addProblemRoutes(routes);
  await addDocsRoutes(routes);
  await fastify.register(async (api) => addApi(api.withTypeProvider(), deps), { prefix: '/api/v1' });
  await fastify.register(async (open) => addTrackRoute(open.withTypeProvider(), deps), { prefix: '/api/v1' });
  await fastify.ready();
  return fastify;
}

async function addApi(api: Routes, deps: HttpDeps): Promise<void> {
  api.addHook('onRoute', ({ url, config }) => {
    if (config?.scope === undefined) throw new Error(`The route ${url} does not say which scope it needs.`);
  });
  api.addHook('onRequest', async (request) => {
    const { scope } = request.routeOptions.config;
    if (scope !== undefined) request.caller = await deps.authenticate(request, scope);
  });
  addOrderListRoutes(api, deps);
  addOrderHistogramRoute(api, deps);
  addOrderExportRoute(api, deps);
  // Before the single orders only for the order of the documentation; `bulk` is no id.
  await addOrderBulkRoute(api, deps);
  addOrderRoutes(api, deps);
  await addTicketBulkRoute(api, deps);
  addTicketRoutes(api, deps);
  addTicketTokenRoutes(api, deps);
  addShipmentRoutes(api, deps);
  addShipmentWriteRoutes(api, deps);
  await addShipmentBulkRoute(api, deps);
  await addShipmentEventBulkRoute(api, deps);
  await addUsageBulkRoute(api, deps);
  await api.register(async (events) => {
    addCloudEventBodies(events);
    addUsageRecordRoute(events.withTypeProvider(), deps);
  });
  addUsageCorrectionRoutes(api, deps);
  addUsageOverLimitRoute(api, deps);
  addUsageMetricsRoute(api, deps);
  addUsageStatusRoutes(api, deps);
  addUsageTypeRoutes(api, deps);
  addUsageSubscriptionRoutes(api, deps);
  addClusterRoutes(api, deps);
  addJobRoutes(api, deps);
  addJobControlRoutes(api, deps);
  addJobEventsRoute(api, deps);
  await addOrderStatusBulkRoute(api, deps);
}

function createFastify({ app }: HttpDeps, { idleTimeoutMs }: BuildOptions): FastifyInstance {
  return Fastify({
    logger: false,
    requestIdHeader: false,
    genReqId: (raw) => requestIdOf(raw),
    bodyLimit: app.config.http.bodyLimitBytes,
    trustProxy: app.config.http.trustProxy.length === 0 ? false : [...app.config.http.trustProxy],
    connectionTimeout: idleTimeoutMs,
    // A bulk upload may take hours as long as it makes progress; heads and small bodies have limits of their own.
    requestTimeout: 0,
    http: { headersTimeout: 20_000, connectionsCheckingInterval: 5_000 },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 500 },
    clientErrorHandler: (error, socket) => answerClientError(error, socket as Socket),
    frameworkErrors: (error, request, reply) => {
      const failure = failureOf(error);
      const problem = problemOf(failure, { id: request.id, path: pathOf(request.raw.url).slice(0, 200) });
      void (reply as unknown as FastifyReply)
        .code(problemTypeOf(failure.code).status)
        .headers({
          'content-type': problemMediaType,
          'x-request-id': request.id,
          'x-content-type-options': 'nosniff',
          'cache-control': 'no-store',
        })
        .send(problemText(problem));
    },
  });
}
