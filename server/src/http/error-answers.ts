import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../core/ports.ts';
import { type Failure, failureOf, httpError, problemOf, problemText } from './failure.ts';
import { problemMediaType, problemTypeOf, statusName } from './problems.ts';
import { pathOf } from './requests.ts';

/** Answers every error as a problem document; logs those that are the server's fault. */
export function addErrorAnswers(fastify: FastifyInstance, logger: Logger): void {
  const routes = collectRoutes(fastify);
  fastify.setErrorHandler(async (error, request, reply) => {
    await answer(failureOf(error), { request, reply, logger, error });
    return reply;
  });
  fastify.setNotFoundHandler(async (request, reply) => {
    const path = pathOf(request.raw.url);
    const allowed = methodsOf(routes, path);
    const error =
      allowed.length === 0
        ? httpError('not_found', `There is nothing at ${request.method} ${path.slice(0, 200)}.`)
        : httpError('method_not_allowed', `This path takes ${allowed.join(', ')}.`);
    if (allowed.length > 0) void reply.header('allow', allowed.join(', '));
    await answer(failureOf(error), { request, reply, logger, error });
    return reply;
  });
}

interface Answering {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly logger: Logger;
  readonly error: unknown;
}

async function answer(failure: Failure, { request, reply, logger, error }: Answering): Promise<void> {
  const { status, retryAfterSeconds } = problemTypeOf(failure.code);
  if (status >= 500 && retryAfterSeconds === undefined) {
    logger.error({ err: error, request_id: request.id, route: request.routeOptions.url }, 'a request failed');
  }
  // Whoever refused may know it better.
  if (retryAfterSeconds !== undefined && !reply.hasHeader('retry-after'))
    void reply.header('retry-after', String(retryAfterSeconds));
  if (status === 401) void reply.header('www-authenticate', 'Bearer realm="milliard"');
  await drain(request.raw);
  // What is still to come would be taken for the next request.
  if (!request.raw.complete && request.raw.socket.destroyed === false) void reply.header('connection', 'close');
  const problem = problemOf(failure, { id: request.id, path: pathOf(request.raw.url) });
  void reply
    .code(status)
    .headers({ 'content-type': problemMediaType, 'cache-control': 'no-store' })
    .send(problemText(problem));
}

const drainMs = 2_000;

/**
 * Reads and throws away what a client still sends, for a bounded time: closing a connection with unread bytes resets it, and
 * the client would never see why.
 */
export async function drain(message: IncomingMessage): Promise<void> {
  if (message.complete || message.destroyed || message.readableEnded) return;
  const ended = new Promise<void>((resolve) => {
    message
      .once('end', resolve)
      .once('close', resolve)
      .once('error', () => resolve());
  });
  message.resume();
  const timer = new AbortController();
  await Promise.race([ended, delay(drainMs, undefined, { signal: timer.signal, ref: false }).catch(() => {})]);
  timer.abort();
}

interface KnownRoute {
  readonly method: string;
  readonly pattern: RegExp;
}

function collectRoutes(fastify: FastifyInstance): KnownRoute[] {
  const routes: KnownRoute[] = [];
  fastify.addHook('onRoute', ({ method, url }) => {
    const text = url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:[^/]+/g, '[^/]+')
      .replace(/\*/g, '.*');
    const pattern = new RegExp(`^${text.replace(/\/$/, '')}/?$`);
    for (const one of Array.isArray(method) ? method : [method]) routes.push({ method: one, pattern });
  });
  return routes;
}

const methodsOf = (routes: readonly KnownRoute[], path: string): string[] =>
  [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))].sort();

const clientErrors: Readonly<Record<string, Parameters<typeof httpError>>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'URL and headers together are larger than 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The request did not arrive in time.'],
};

/** Answers what is not even HTTP, on the bare socket. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const known = clientErrors[error.code ?? ''] ?? (['malformed_request', 'This is not a valid HTTP request.'] as const);
  const failure = failureOf(httpError(...known));
  const body = JSON.stringify(problemOf(failure, { id: '-', path: '-' }));
  if (socket.writable) {
    const head = `HTTP/1.1 ${statusName(problemTypeOf(failure.code).status)}\r\nContent-Type: ${problemMediaType}\r\n`;
    socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
  }
  socket.destroySoon();
}
