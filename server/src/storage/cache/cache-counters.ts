/** Counts of one cache since the process began, for /metrics. */
export interface CacheCounters {
  readonly name: string;
  /** Reads answered from process memory while an entry was fresh. */
  memoryHits: number;
  /** Reads that found nothing fresh in process memory. Those of one key at one moment share a load. */
  memoryMisses: number;
  redisHits: number;
  redisMisses: number;
  /** Loads from the database, and those that failed. */
  loads: number;
  loadFailures: number;
  /** Reads answered with what was kept because the database did not answer, by where it was kept. */
  memoryStale: number;
  redisStale: number;
  /** Keys that were announced or written here. */
  forgotten: number;
}

export const createCounters = (name: string): CacheCounters => ({
  name,
  memoryHits: 0,
  memoryMisses: 0,
  redisHits: 0,
  redisMisses: 0,
  loads: 0,
  loadFailures: 0,
  memoryStale: 0,
  redisStale: 0,
  forgotten: 0,
});
