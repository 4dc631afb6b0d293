import { randomBytes } from 'node:crypto';
import type { Logger } from '../../core/ports.ts';
import type { RedisClient } from './redis-client.ts';
import { openRedisLine } from './redis-line.ts';
import { type Fetched, nothingFetched, type SharedLayer } from './shared-layer.ts';

export interface RedisLayerOptions {
  readonly client: RedisClient;
  /** Sets apart what several databases keep in one Redis. */
  readonly prefix: string;
  /** Up to this age a value counts as fresh without any proof. */
  readonly unprovenMs: number;
  /** The same where every change since is certain to have deleted it. */
  readonly longestMs: number;
  /** How long a value is kept. */
  readonly keepMs: number;
  readonly logger: Logger;
}

/** A load that takes longer is not stored. */
const leaseMs = 5_000;
const keysPerCommand = 1_000;

/** Redis or Valkey between the servers. Its scripts keep an older value from replacing a newer one: see redis-scripts.ts. */
export function createRedisLayer(options: RedisLayerOptions): SharedLayer {
  const { client: redis, prefix, keepMs } = options;
  const line = openRedisLine(redis, options.logger);
  const valueKey = (cache: string, key: string): string => `${prefix}:${cache}:v:${key}`;
  const leaseKey = (cache: string, key: string): string => `${prefix}:${cache}:l:${key}`;
  const [unproven, longest] = [micros(options.unprovenMs), micros(options.longestMs)];

  return {
    async fetch(cache, key) {
      if (!line.isUp()) return nothingFetched;
      const mark = line.mark();
      const limits = [
        line.trustedFrom(),
        unproven,
        randomBytes(8).toString('hex'),
        String(leaseMs),
        longest,
        line.keptFrom(),
      ];
      try {
        const answer = await redis.cacheFetch(valueKey(cache, key), leaseKey(cache, key), ...limits);
        return fetchedOf(answer, mark === line.mark());
      } catch (error) {
        line.fail(error);
        return nothingFetched;
      }
    },
    store(cache, key, { lease, json }) {
      if (!line.isUp()) return;
      redis.cacheStore(valueKey(cache, key), leaseKey(cache, key), lease, json, String(keepMs)).catch(line.fail);
    },
    drop(cache, keys) {
      // Also while nothing is trusted yet: what is leased from the beginning of trust on must not survive a change.
      if (redis.status !== 'ready') return line.fail(new Error('not connected to Redis'));
      for (let i = 0; i < keys.length; i += keysPerCommand) {
        const some = keys.slice(i, i + keysPerCommand);
        redis.del(some.flatMap((key) => [valueKey(cache, key), leaseKey(cache, key)])).catch(line.fail);
      }
    },
    beginSession: line.begin,
    isUp: line.isUp,
    close: line.close,
  };
}

const micros = (ms: number): string => String(Math.round(ms * 1_000));

/** @param isCertain whether no failure and no new session came between the question and the answer */
function fetchedOf(answer: readonly (string | number | null)[], isCertain: boolean): Fetched {
  const [first, second, third, fourth] = answer;
  const lease = typeof first !== 'string' && typeof second === 'string' ? second : null;
  // What a failure took with it may have been a deletion.
  if (!isCertain) return { kind: 'nothing', lease, older: null };
  if (typeof first === 'string') {
    return { kind: 'value', json: first, ageMs: Number(second) / 1_000, trusted: third === 1 };
  }
  const older = typeof third === 'string' ? { json: third, ageMs: Number(fourth) / 1_000 } : null;
  return { kind: 'nothing', lease, older };
}
