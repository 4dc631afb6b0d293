import type { CacheCounters } from './cache-counters.ts';
import type { ChangeFeed } from './change-feed.ts';
import type { Flight } from './flights.ts';
import type { Freshness } from './freshness.ts';
import type { Entry } from './memory-layer.ts';
import type { SharedLayer } from './shared-layer.ts';

/** What the layer between servers had for a key. */
export interface SharedFind<V> {
  /** It holds. */
  readonly entry: Entry<V> | null;
  /** How long it is as JSON. */
  readonly jsonChars: number;
  /** It may not hold any more: for when the database does not answer. */
  readonly older: Entry<V> | null;
  /** Allows to store what is loaded now. */
  readonly lease: string | null;
}

export interface SharedReadsDeps {
  readonly name: string;
  readonly shared: SharedLayer;
  readonly feed: ChangeFeed;
  readonly freshness: Freshness;
  readonly counters: CacheCounters;
  /** Monotonic ms. */
  readonly now: () => number;
}

/** Turns what Redis says into entries, which count as little as they must. Never throws. */
export function createSharedReads<V>({ name, shared, feed, freshness, counters, now }: SharedReadsDeps) {
  const miss = (lease: string | null, older: Entry<V> | null): SharedFind<V> => {
    counters.redisMisses++;
    return { entry: null, jsonChars: 0, older, lease };
  };
  return async (key: string, flight: Flight): Promise<SharedFind<V>> => {
    const sentMs = now();
    const session = feed.session();
    const fetched = await shared.fetch(name, key);
    // What was fetched may be what was announced meanwhile.
    if (flight.isForgotten) return miss(null, null);
    const found = fetched.kind === 'value' ? fetched : fetched.older;
    const value = found === null ? null : parse<V>(found.json);
    if (found === null || value === null) return miss(fetched.kind === 'nothing' ? fetched.lease : null, null);
    // Leased so long before Redis told its age; that was after the question was sent.
    const asOfMs = sentMs - found.ageMs;
    if (fetched.kind === 'nothing') return miss(fetched.lease, { value, asOfMs, session: 0 });
    const isTrusted = fetched.trusted && session === feed.session();
    const entry: Entry<V> = { value, asOfMs, session: isTrusted ? session : 0 };
    if (!freshness.isFresh(entry) && freshness.isProvable(entry)) await feed.prove();
    if (flight.isForgotten) return miss(null, null);
    if (!freshness.isFresh(entry)) return miss(null, entry);
    counters.redisHits++;
    return { entry, jsonChars: found.json.length, older: null, lease: null };
  };
}

/** Null for what cannot be read: no value of ours. */
function parse<V>(json: string): V | null {
  try {
    return JSON.parse(json) as V;
  } catch {
    return null;
  }
}
