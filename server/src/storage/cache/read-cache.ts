import type { CacheCounters } from './cache-counters.ts';
import type { ChangeFeed } from './change-feed.ts';
import { createFlights, type Flight } from './flights.ts';
import { type CacheLimits, createFreshness } from './freshness.ts';
import type { Entry, MemoryLayer } from './memory-layer.ts';
import { isAbsence, type Outage } from './outage.ts';
import type { SharedLayer } from './shared-layer.ts';
import { createSharedReads } from './shared-reads.ts';

/** An answer of the cache. */
export interface Cached<V> {
  readonly value: V;
  /** How long ago it was certain that it holds; 0 for one that was read for this answer. */
  readonly ageMs: number;
  /** The database did not answer: this is what was kept. */
  readonly stale: boolean;
}

/** One cache: values of one kind by key. */
export interface ReadCache<V> {
  /**
   * The value, from process memory, Redis, or `load`; null: there is none. Reads of one key that miss together share a load.
   * @param load reads it from the database now
   * @throws what `load` throws; when the database does not answer, only where nothing is kept
   */
  read(key: string, load: () => Promise<V | null>): Promise<Cached<V | null>>;
  /** To be called after the commit of a change, before anybody is told of it: from then on this server answers nothing older. */
  forget(keys: readonly string[]): void;
  /** The same for all that is in process memory. */
  forgetAll(): void;
}

export interface ReadCacheDeps<V> {
  /** As in announcements and metrics. */
  readonly name: string;
  readonly memory: MemoryLayer<V>;
  readonly shared: SharedLayer | null;
  readonly feed: ChangeFeed;
  readonly outage: Outage;
  readonly limits: CacheLimits;
  readonly counters: CacheCounters;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** See docs/adr/0015 for why an answer is never older than it may be. */
export function createReadCache<V>(deps: ReadCacheDeps<V>): ReadCache<V> {
  const { name, memory, shared, feed, outage, limits, counters, now } = deps;
  const freshness = createFreshness(feed, limits, now);
  const flights = createFlights<Cached<V | null>>(limits.unprovenMs, now);
  const fly = createLoads(deps, freshness);

  const answer = (entry: Entry<V>, stale: boolean): Cached<V | null> => ({
    value: entry.value,
    ageMs: freshness.ageMs(entry),
    stale,
  });
  /** What may be answered in place of the database. */
  const kept = (key: string): Cached<V | null> | null => {
    const entry = memory.find(key);
    if (entry === undefined || !freshness.isWithinGrace(entry)) return null;
    counters.memoryStale++;
    return answer(entry, true);
  };

  return {
    async read(key, load) {
      feed.keepUp(now());
      let entry = memory.find(key);
      if (entry !== undefined && !freshness.isFresh(entry) && freshness.isProvable(entry) && !outage.isOn()) {
        await feed.prove();
        entry = memory.find(key);
      }
      if (entry !== undefined && freshness.isFresh(entry)) {
        counters.memoryHits++;
        return answer(entry, false);
      }
      const join = (isProbe: boolean) => flights.join(key, isProbe, (flight) => fly(key, load, flight));
      const left = outage.isOn() ? kept(key) : null;
      if (left !== null) {
        if (outage.mayTry(now())) join(true).catch(() => {});
        return left;
      }
      counters.memoryMisses++;
      try {
        return await join(false);
      } catch (error) {
        const last = isAbsence(error) ? kept(key) : null;
        if (last === null) throw error;
        return last;
      }
    },
    forget(keys) {
      counters.forgotten += keys.length;
      for (const key of keys) {
        memory.drop(key);
        flights.forget(key);
      }
      shared?.drop(name, keys);
    },
    forgetAll() {
      memory.clear();
      flights.forgetAll();
    },
  };
}

/** Loads what process memory does not hold: from Redis, else from the database, and keeps it in both. */
function createLoads<V>(deps: ReadCacheDeps<V>, freshness: ReturnType<typeof createFreshness>) {
  const { name, memory, shared, feed, outage, counters, now } = deps;
  const find = shared === null ? null : createSharedReads<V>({ ...deps, shared, freshness });
  const ofRedis = (key: string, entry: Entry<V>): Cached<V | null> => {
    counters.redisStale++;
    if (memory.find(key) === undefined) memory.keep(key, entry, JSON.stringify(entry.value).length);
    return { value: entry.value, ageMs: freshness.ageMs(entry), stale: true };
  };

  return async (key: string, load: () => Promise<V | null>, flight: Flight): Promise<Cached<V | null>> => {
    const found = find === null || shared?.isUp() === false ? null : await find(key, flight);
    if (found !== null && found.entry !== null) {
      memory.keep(key, found.entry, found.jsonChars);
      return { value: found.entry.value, ageMs: freshness.ageMs(found.entry), stale: false };
    }
    const older = (): Entry<V> | null => {
      const entry = found?.older ?? null;
      return entry !== null && !flight.isForgotten && freshness.isWithinGrace(entry) ? entry : null;
    };
    const known = outage.isOn() && !flight.isProbe ? older() : null;
    if (known !== null && !outage.mayTry(now())) return ofRedis(key, known);

    // Both before the load: the session, too, must have lasted while it ran.
    const asOfMs = now();
    const session = feed.session();
    flight.sinceMs = asOfMs;
    counters.loads++;
    let value: V | null;
    try {
      value = await load();
    } catch (error) {
      counters.loadFailures++;
      outage.failed(error, now());
      const left = isAbsence(error) ? older() : null;
      if (left === null) throw error;
      return ofRedis(key, left);
    }
    outage.succeeded();
    if (!flight.isForgotten) {
      const json = value === null ? '' : JSON.stringify(value);
      // A slow load never replaces what a later one found.
      if ((memory.find(key)?.asOfMs ?? 0) <= asOfMs) memory.keep(key, { value, asOfMs, session }, json.length);
      if (found !== null && found.lease !== null && value !== null) {
        shared?.store(name, key, { lease: found.lease, json });
      }
    }
    return { value, ageMs: 0, stale: false };
  };
}
