import type { Logger } from '../../core/ports.ts';
import type { ConnectionOptions } from '../connection.ts';
import type { Database } from '../database.ts';
import type { Server } from '../topology.ts';
import { type CacheCounters, createCounters } from './cache-counters.ts';
import { type ChangeFeed, createChangeFeed, deafFeed } from './change-feed.ts';
import { databaseIdentity } from './database-identity.ts';
import type { CacheLimits } from './freshness.ts';
import { createMemoryLayer, type MemoryLayer } from './memory-layer.ts';
import { createNotifyChannel } from './notify-channel.ts';
import { createOutage } from './outage.ts';
import { createReadCache, type ReadCache } from './read-cache.ts';
import { connectRedis } from './redis-client.ts';
import { createRedisLayer } from './redis-layer.ts';
import type { SharedLayer } from './shared-layer.ts';

export type { Cached, ReadCache } from './read-cache.ts';

/** What the cache of a server may use. */
export interface CacheSettings {
  /** Null: no Redis. */
  readonly redisUrl: string | null;
  /** Of process memory, over all caches. */
  readonly memoryBytes: number;
  /** How old an answer may be while the database does not answer. */
  readonly graceMs: number;
}

export interface CacheOptions {
  /** Of the memory of all caches: shares add up to 1. */
  readonly memoryShare: number;
  /**
   * `announced`: every change of an entry is announced, so it may be kept as long as none is, and shared by Redis. `short`: it lives
   * for a moment, in this process only.
   */
  readonly life: 'announced' | 'short';
}

/** What is known of one cache now. */
export interface CacheState {
  readonly counters: Readonly<CacheCounters>;
  readonly entries: number;
  /** Estimated. */
  readonly bytes: number;
}

/** All caches of a process. */
export interface Caches {
  /** @param name stable and unique: it stands in announcements, in Redis and in metrics */
  open<V>(name: string, options: CacheOptions): ReadCache<V>;
  /** Tells of announced keys that no cache is opened for. */
  listen(name: string, heard: (keys: readonly string[]) => void): void;
  state(): {
    readonly caches: readonly CacheState[];
    /** Null where there is none. */
    readonly redisUp: boolean | null;
    /** Whether changes of other servers are heard at once. */
    readonly hears: boolean;
  };
  close(): void;
}

/** Asks the database each time: for commands, and where the cache is switched off. */
export const noCaches: Caches = {
  open: <V>(): ReadCache<V> => ({
    read: async (_key, load) => ({ value: await load(), ageMs: 0, stale: false }),
    forget() {},
    forgetAll() {},
  }),
  listen() {},
  state: () => ({ caches: [], redisUp: null, hears: false }),
  close() {},
};

/**
 * No server may answer the older status for longer than a second after a change was acknowledged. What is left of the second is
 * for the answer's way.
 */
const unprovenMs = 900;
/** Changes that nobody announces (SQL by hand) show after so long. */
const longestMs = 60_000;
const absentMs = 10_000;
/** The form of what is stored: raised when a cached type changes, so that versions of Milliard do not read each other's values. */
const form = 1;

export interface CachesDeps {
  readonly db: Database;
  readonly server: Server;
  /** Of the connection that listens. */
  readonly connection: ConnectionOptions;
  readonly settings: CacheSettings;
  readonly logger: Logger;
}

export async function openCaches(deps: CachesDeps): Promise<Caches> {
  const { settings, logger } = deps;
  const limits: CacheLimits = { unprovenMs, longestMs, absentMs, graceMs: settings.graceMs };
  const shared: SharedLayer | null =
    settings.redisUrl === null
      ? null
      : createRedisLayer({
          client: connectRedis(settings.redisUrl),
          prefix: `milliard:${form}:${await databaseIdentity(deps.db)}`,
          unprovenMs,
          longestMs,
          keepMs: settings.graceMs + longestMs,
          logger,
        });
  const now = () => performance.now();
  const listeners = new Map<string, (keys: readonly string[]) => void>();
  const feed: ChangeFeed =
    // NOTIFY reaches the listeners of one node, and rows of a distributed database may be written through any.
    deps.server.topology === 'citus'
      ? deafFeed
      : createChangeFeed({
          channel: createNotifyChannel(deps.db, deps.connection),
          logger,
          now,
          onChanges: (cache, keys) => listeners.get(cache)?.(keys),
          onSession: () => shared?.beginSession(),
        });
  feed.keepUp(now());
  const outage = createOutage();
  const states: { readonly counters: CacheCounters; readonly memory: Pick<MemoryLayer<unknown>, 'size'> }[] = [];

  return {
    open<V>(name: string, { memoryShare, life }: CacheOptions) {
      const memory = createMemoryLayer<V>(Math.max(1, Math.floor(settings.memoryBytes * memoryShare)));
      const counters = createCounters(name);
      states.push({ counters, memory });
      const layers = life === 'announced' ? { feed, shared } : { feed: deafFeed, shared: null };
      const cache = createReadCache<V>({ name, memory, ...layers, outage, limits, counters, now });
      if (life === 'announced') listeners.set(name, cache.forget);
      return cache;
    },
    listen: (name, heard) => void listeners.set(name, heard),
    state: () => ({
      caches: states.map(({ counters, memory }) => ({ counters, ...memory.size() })),
      redisUp: shared === null ? null : shared.isUp(),
      hears: now() - feed.heardUntilMs(feed.session()) <= unprovenMs,
    }),
    close() {
      feed.close();
      shared?.close();
    },
  };
}
