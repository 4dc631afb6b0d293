import { silentLogger } from '../core/ports.ts';
import { type Announcement, parseAnnouncement, payloadsOf } from '../storage/cache/announcement.ts';
import { createCounters } from '../storage/cache/cache-counters.ts';
import { createChangeFeed, deafFeed } from '../storage/cache/change-feed.ts';
import { createMemoryLayer } from '../storage/cache/memory-layer.ts';
import type { Channel } from '../storage/cache/notify-channel.ts';
import { createOutage } from '../storage/cache/outage.ts';
import { createReadCache, type ReadCache } from '../storage/cache/read-cache.ts';
import type { RedisClient } from '../storage/cache/redis-client.ts';
import { createRedisLayer } from '../storage/cache/redis-layer.ts';
import { StorageError } from '../storage/faults.ts';

/** Random numbers from 0 up to 1. */
export type Chance = () => number;

/** The value of a key: how often it was written. */
export interface Version {
  readonly version: number;
}

/** A made-up database, its notifications, and a Redis, all with random delays; for servers that cache what they read of it. */
export interface CacheWorld {
  /** @param parts whether it listens to changes, and uses Redis */
  server(parts: { readonly listens: boolean; readonly redis: boolean }): WorldServer;
  readonly isUp: { database: boolean; redis: boolean };
  /** Redis is started again from what it wrote to disk at `saveRedis`. */
  restartRedis(): void;
  saveRedis(): void;
}

export interface WorldServer {
  readonly cache: ReadCache<Version>;
  readonly counters: ReturnType<typeof createCounters>;
  load(key: string): Promise<Version | null>;
  /** Commits a new version and forgets the key here. @returns the version */
  write(key: string): Promise<number>;
  /** Its line breaks: what is sent from now on is lost, and it learns of that only after a while. */
  breakLine(): void;
  /** Its connection to Redis ends. */
  breakRedis(): void;
  close(): void;
}

// Of the global setTimeout: the tests' clock moves that one.
const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const limits = { unprovenMs: 900, longestMs: 5_000, absentMs: 3_000, graceMs: 20_000 };
const away = () => new StorageError('storage_unavailable', 'away');

export function createCacheWorld(chance: Chance): CacheWorld {
  const isUp = { database: true, redis: true };
  const redis = createRedis(isUp, chance);
  const database = createDatabaseOf(isUp, chance);
  return {
    isUp,
    saveRedis: redis.save,
    restartRedis: redis.restart,
    server: (parts) => createWorldServer(database, parts.redis ? redis.connect() : null, parts.listens),
  };
}

type WorldDatabase = ReturnType<typeof createDatabaseOf>;

/** Versions by key, and notifications to every line. */
function createDatabaseOf(isUp: { readonly database: boolean }, chance: Chance) {
  const versions = new Map<string, number>();
  const lines = new Set<(announcement: Announcement) => void>();
  const asked = async (mostMs: number): Promise<void> => {
    await delay(chance() ** 3 * mostMs);
    if (!isUp.database) throw away();
  };
  const committed = (payload: string): void => {
    const announcement = parseAnnouncement(payload);
    if (announcement !== null) for (const hear of lines) hear(announcement);
  };
  return {
    async load(key: string): Promise<Version | null> {
      await asked(900);
      const version = versions.get(key);
      await asked(900);
      return version === undefined ? null : { version };
    },
    async write(key: string): Promise<number> {
      await asked(50);
      const version = (versions.get(key) ?? 0) + 1;
      versions.set(key, version);
      for (const payload of payloadsOf('c', [key])) committed(payload);
      await delay(chance() ** 3 * 50);
      return version;
    },
    /** A server's way to the notifications. */
    channel(): Channel & { readonly breakLine: () => void } {
      const line = createLine(lines, chance);
      return {
        breakLine: line.break,
        async listen(listener) {
          await asked(50);
          return line.open(listener);
        },
        async send(echo) {
          await asked(30);
          committed(JSON.stringify(['', echo]));
          await asked(30);
        },
      };
    },
  };
}

function createWorldServer(database: WorldDatabase, client: FakeRedis | null, listens: boolean): WorldServer {
  const now = () => performance.now();
  const logger = silentLogger;
  const channel = database.channel();
  const shared =
    client === null ? null : createRedisLayer({ ...limits, client, prefix: 'p', keepMs: limits.graceMs, logger });
  const feed = listens
    ? createChangeFeed({
        channel,
        logger,
        now,
        onChanges: (_, keys) => cache.forget(keys),
        onSession: () => shared?.beginSession(),
      })
    : deafFeed;
  const counters = createCounters('c');
  const memory = createMemoryLayer<Version>(1_000_000);
  const outage = createOutage();
  const cache = createReadCache<Version>({ name: 'c', memory, shared, feed, outage, limits, counters, now });
  return {
    cache,
    counters,
    load: database.load,
    async write(key) {
      const version = await database.write(key);
      cache.forget([key]);
      return version;
    },
    breakLine: channel.breakLine,
    breakRedis: () => client?.breakDown(),
    close() {
      feed.close();
      shared?.close();
    },
  };
}

/** One server's line: in order, late, and sometimes broken without its knowing. */
function createLine(lines: Set<(announcement: Announcement) => void>, chance: Chance) {
  let breakNow = () => {};
  return {
    break: () => breakNow(),
    open(listener: { heard(announcement: Announcement): void; ended(): void }) {
      let tail = Promise.resolve();
      let isBroken = false;
      const hear = (announcement: Announcement): void => {
        const lateMs = chance() ** 4 * 600;
        tail = tail.then(async () => {
          await delay(lateMs);
          if (!isBroken) listener.heard(announcement);
        });
      };
      lines.add(hear);
      const close = () => {
        isBroken = true;
        lines.delete(hear);
      };
      breakNow = () => {
        if (isBroken) return;
        close();
        void delay(chance() * 4_000).then(() => listener.ended());
      };
      return { close };
    },
  };
}

interface FakeRedis extends RedisClient {
  breakDown(): void;
}

/** Does what the scripts do (their own test runs them on a real Redis), each connection in order. */
function createRedis(isUp: { redis: boolean }, chance: Chance) {
  const data = createRedisData();
  const connections = new Set<FakeRedis>();
  return {
    connect(): FakeRedis {
      const connection = createConnection(data, isUp, chance);
      connections.add(connection);
      return connection;
    },
    save: data.save,
    restart() {
      data.restore();
      for (const connection of connections) connection.breakDown();
    },
  };
}

function createRedisData() {
  let store = new Map<string, string>();
  let saved = new Map<string, string>();
  const micros = () => Math.round((1_700_000_000_000 + performance.now()) * 1_000);
  return {
    micros,
    save() {
      saved = new Map(store);
    },
    restore() {
      store = new Map(saved);
    },
    del: (keys: readonly string[]) => keys.filter((key) => store.delete(key)).length,
    fetch(value: string, lease: string, args: readonly string[]): (string | number | null)[] {
      const [trustedFrom = '', unproven = '', random = '', , longest = '', keptFrom = ''] = args;
      const found = store.get(value);
      const leased = Number(found?.slice(0, 16));
      const age = micros() - leased;
      if (found !== undefined) {
        if (leased >= Number(trustedFrom) && age <= Number(longest)) return [found.slice(16), age, 1];
        if (age <= Number(unproven) && leased >= Number(keptFrom)) return [found.slice(16), age, 0];
      }
      const given = store.get(lease) ?? String(micros()).padStart(16, '0') + random;
      store.set(lease, given);
      const isKept = found !== undefined && leased >= Number(keptFrom);
      return isKept ? [null, given, found.slice(16), age] : [null, given, null, 0];
    },
    put(value: string, lease: string, [token = '', json = '']: readonly string[]): number {
      if (store.get(lease) !== token) return 0;
      store.set(value, token.slice(0, 16) + json);
      store.delete(lease);
      return 1;
    },
  };
}

function createConnection(
  data: ReturnType<typeof createRedisData>,
  isUp: { readonly redis: boolean },
  chance: Chance,
): FakeRedis {
  let tail: Promise<unknown> = Promise.resolve();
  let generation = 0;
  const listeners = new Map<string, (error?: unknown) => void>();
  const run = <T>(work: () => T): Promise<T> => {
    const mine = generation;
    if (client.status !== 'ready') return Promise.reject(new Error('not connected'));
    const step = async (): Promise<void> => {
      await delay(chance() ** 3 * 60);
      if (mine !== generation || !isUp.redis) throw new Error('the connection was lost');
    };
    const result = tail.then(async () => {
      await step();
      const answer = work();
      await step();
      return answer;
    });
    tail = result.catch(() => {});
    return result;
  };
  const comeBack = (): void => {
    void delay(100 + chance() * 500).then(() => {
      if (!isUp.redis) return comeBack();
      client.status = 'ready';
      listeners.get('ready')?.();
    });
  };
  const client: FakeRedis & { status: string } = {
    status: 'ready',
    time: () => run(() => [Math.floor(data.micros() / 1_000_000), data.micros() % 1_000_000]),
    del: (keys) => run(() => data.del(keys)),
    cacheFetch: (value, lease, ...args) => run(() => data.fetch(value, lease, args)),
    cacheStore: (value, lease, ...args) => run(() => data.put(value, lease, args)),
    on: (event: string, listener: (error?: unknown) => void) => listeners.set(event, listener),
    disconnect(reconnect) {
      if (reconnect === true) client.breakDown();
    },
    breakDown() {
      if (client.status !== 'ready') return;
      generation++;
      client.status = 'reconnecting';
      listeners.get('close')?.();
      comeBack();
    },
  };
  return client;
}
