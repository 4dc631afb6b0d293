import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { answerClientError } from './error-answers.ts';
import { httpError } from './failure.ts';
import type { HttpDeps } from './http-types.ts';
import { assertLocal } from './local-only.ts';
import { isQueryWellFormed } from './requests.ts';

const slowMs = 1_000;

export interface HookOptions {
  /** Only this machine's own programs and pages are answered. */
  readonly localOnly: boolean;
  /** How long the body of a request that is no stream may take to arrive. */
  readonly bodyTimeoutMs: number;
}

/** What happens around every request: headers, refusals, measures, a log line where one is due. */
export function addRequestHooks(fastify: FastifyInstance, deps: HttpDeps, options: HookOptions): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    try {
      if (options.localOnly) assertLocal(request.raw);
      if (deps.isClosing() && request.routeOptions.config.whileDraining !== true) {
        throw httpError('shutting_down', 'The server is being stopped. Send the request again.');
      }
      if (!isQueryWellFormed(request.raw.url))
        throw httpError('malformed_url', 'The query holds an invalid percent-encoding.');
      done();
    } catch (error) {
      done(error as Error);
    }
  });
  fastify.addHook('onRequest', (request, _reply, done) => {
    limitBodyTime(request, options.bodyTimeoutMs);
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    observe(deps, request, reply);
    done();
  });
}

/** Whoever sends a body byte by byte holds a connection, not for ever. Streams end by the idle time of their socket instead. */
function limitBodyTime({ raw, routeOptions }: FastifyRequest, timeoutMs: number): void {
  const hasBody = raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length'] ?? 0) > 0;
  if (!hasBody || routeOptions.config.streams === true) return;
  const timer = setTimeout(() => {
    answerClientError(Object.assign(new Error('slow body'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), raw.socket);
  }, timeoutMs);
  const clear = (): void => clearTimeout(timer);
  raw.once('end', clear).once('close', clear);
}

function observe({ app, metrics }: HttpDeps, request: FastifyRequest, reply: FastifyReply): void {
  const { config } = request.routeOptions;
  const route = request.routeOptions.url ?? 'unknown';
  const status = reply.statusCode;
  const ms = reply.elapsedTime;
  // Methods are the router's: a label is never what a client made up.
  metrics.observeRequest({ method: request.method, route, status }, ms / 1_000);
  const isSlow = ms > slowMs && config.streams !== true;
  if (status < 500 && !isSlow && app.config.logLevel !== 'debug') return;
  const line = { request_id: request.id, method: request.method, route, status, ms: Math.round(ms) };
  if (status >= 500) app.logger.warn(line, 'answered with a server error');
  else if (isSlow) app.logger.warn(line, 'a slow request');
  else app.logger.debug(line, 'answered');
}
