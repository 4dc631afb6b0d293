import { Redis } from 'ioredis';
import { fetchScript, storeScript } from './redis-scripts.ts';

/** What the cache needs of a client of Redis. Its commands are carried out in the order of the calls, or rejected. */
export interface RedisClient {
  readonly status: string;
  time(): Promise<readonly (number | string)[]>;
  del(keys: string[]): Promise<number>;
  cacheFetch(value: string, lease: string, ...args: string[]): Promise<readonly (string | number | null)[]>;
  cacheStore(value: string, lease: string, ...args: string[]): Promise<number>;
  on(event: 'ready' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  disconnect(reconnect?: boolean): void;
}

/** A command that takes longer counts as failed. */
const commandTimeoutMs = 250;
const connectTimeoutMs = 1_000;
const reconnectMs = 500;

export function connectRedis(url: string): RedisClient {
  const redis = new Redis(url, {
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => reconnectMs,
    connectionName: 'milliard-cache',
    scripts: {
      cacheFetch: { lua: fetchScript, numberOfKeys: 2 },
      cacheStore: { lua: storeScript, numberOfKeys: 2 },
    },
  });
  // Connected, but no word: it is stopped, or the packets are swallowed.
  redis.on('connect', () => {
    setTimeout(() => {
      if (redis.status === 'connect') redis.disconnect(true);
    }, 2 * connectTimeoutMs).unref();
  });
  return redis as Redis & RedisClient;
}
