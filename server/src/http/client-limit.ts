import { isIPv4 } from 'node:net';
import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { httpError } from './failure.ts';

const windowMs = 60_000;
// Some 200 bytes each. Whoever has more addresses than this may ask as often as all of them together, here as elsewhere.
const rememberedClients = 50_000;

/**
 * A hook that counts the requests of each client address in windows of a minute and refuses what is too much with `rate_limited`.
 * Each server counts for itself. Routes that share the hook share the count.
 * @param requestsPerMinute of one address
 */
export async function createClientLimit(
  fastify: FastifyInstance,
  requestsPerMinute: number,
): Promise<onRequestHookHandler> {
  const untold = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false };
  await fastify.register(rateLimit, {
    global: false,
    max: requestsPerMinute,
    timeWindow: windowMs,
    cache: rememberedClients,
    keyGenerator: clientOf,
    // What is told to one client must not stand in an answer that a shared cache gives to others; Retry-After is told with 429.
    addHeadersOnExceeding: untold,
    addHeaders: untold,
    errorResponseBuilder: () =>
      httpError(
        'rate_limited',
        `This address asked more than ${requestsPerMinute} times in a minute. Wait as long as Retry-After says.`,
      ),
  });
  return fastify.rateLimit() as onRequestHookHandler;
}

const mapped = '::ffff:';

/**
 * Who asks: an IPv4 address, or the /64 of an IPv6 one, for a household or a server has a whole /64 to choose from. X-Forwarded-For
 * counts only from a proxy that the configuration names.
 */
function clientOf({ ip }: Pick<FastifyRequest, 'ip'>): string {
  // A socket that is gone has no address any more.
  if (ip === undefined) return '';
  // The form that IPv4 takes on sockets for both families; the general way parses the address digit by digit.
  const rest = ip.startsWith(mapped) ? ip.slice(mapped.length) : ip;
  return isIPv4(rest) ? rest : normalizeIP(ip.slice(0, 64));
}
