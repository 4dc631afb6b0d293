import { Counter, Gauge, type Registry } from 'prom-client';
import type { CacheState, Caches } from '../storage/cache/caches.ts';

/** What the metrics of the cache read when they are asked. */
export interface CacheMetricSources {
  caches(): ReturnType<Caches['state']>;
}

/** Reads by where they were answered, loads, and how full the caches are. They are counted there; here they are only told. */
export function addCacheMetrics(registers: Registry[], sources: CacheMetricSources): void {
  const told = <Label extends string>(name: string, help: string, { labels, tell }: Told<Label>): void => {
    const counter = new Counter({
      name,
      help,
      labelNames: labels,
      registers,
      collect() {
        counter.reset();
        for (const { counters } of sources.caches().caches) tell(counter, counters);
      },
    });
  };
  told(
    'milliard_cache_reads_total',
    'Reads of a cache by layer (memory, redis) and outcome: hit; miss: asked the next layer; stale: the database did not answer.',
    {
      labels: ['cache', 'layer', 'outcome'],
      tell(counter, { name: cache, ...count }) {
        counter.inc({ cache, layer: 'memory', outcome: 'hit' }, count.memoryHits);
        counter.inc({ cache, layer: 'memory', outcome: 'miss' }, count.memoryMisses);
        counter.inc({ cache, layer: 'memory', outcome: 'stale' }, count.memoryStale);
        counter.inc({ cache, layer: 'redis', outcome: 'hit' }, count.redisHits);
        counter.inc({ cache, layer: 'redis', outcome: 'miss' }, count.redisMisses);
        counter.inc({ cache, layer: 'redis', outcome: 'stale' }, count.redisStale);
      },
    },
  );
  told(
    'milliard_cache_loads_total',
    'Loads of a cache from the database. Reads of one key that miss together share one.',
    {
      labels: ['cache', 'outcome'],
      tell(counter, { name: cache, loads, loadFailures }) {
        counter.inc({ cache, outcome: 'loaded' }, loads - loadFailures);
        counter.inc({ cache, outcome: 'failed' }, loadFailures);
      },
    },
  );
  told('milliard_cache_forgotten_total', 'Keys that a cache was told to forget, by writes here and by announcements.', {
    labels: ['cache'],
    tell: (counter, { name: cache, forgotten }) => counter.inc({ cache }, forgotten),
  });
  addGauges(registers, sources);
}

interface Told<Label extends string> {
  readonly labels: readonly Label[];
  tell(counter: Counter<Label>, counters: CacheState['counters']): void;
}

function addGauges(registers: Registry[], sources: CacheMetricSources): void {
  const kept = (name: string, help: string, of: (state: CacheState) => number): void => {
    const gauge = new Gauge({
      name,
      help,
      labelNames: ['cache'],
      registers,
      collect() {
        for (const state of sources.caches().caches) gauge.set({ cache: state.counters.name }, of(state));
      },
    });
  };
  kept('milliard_cache_entries', 'Entries of a cache in process memory.', ({ entries }) => entries);
  kept('milliard_cache_bytes', 'Process memory of a cache, estimated.', ({ bytes }) => bytes);
  const links = new Gauge({
    name: 'milliard_cache_link_up',
    help: '1: changes of other servers are heard at once (changes); Redis answers (redis).',
    labelNames: ['link'],
    registers,
    collect() {
      const { caches, hears, redisUp } = sources.caches();
      if (caches.length > 0) links.set({ link: 'changes' }, hears ? 1 : 0);
      if (redisUp !== null) links.set({ link: 'redis' }, redisUp ? 1 : 0);
    },
  });
}
