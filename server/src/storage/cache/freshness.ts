import type { ChangeFeed } from './change-feed.ts';
import type { Entry } from './memory-layer.ts';

export interface CacheLimits {
  /** How long an entry counts as fresh without proof that nothing changed since. */
  readonly unprovenMs: number;
  /** How long it does with proofs: for changes that nobody announced (SQL by hand). */
  readonly longestMs: number;
  /** The same for keys without a value. */
  readonly absentMs: number;
  /** How old an answer may be while the database does not answer. */
  readonly graceMs: number;
}

/** Judges entries at this moment. */
export interface Freshness {
  /** Whether it may be answered: at most `unprovenMs` ago it was certain that it holds. */
  isFresh(entry: Entry<unknown>): boolean;
  /** Whether a proof of the feed would make it fresh. */
  isProvable(entry: Entry<unknown>): boolean;
  /** Whether it may be answered while the database does not answer. */
  isWithinGrace(entry: Entry<unknown>): boolean;
  /** How long ago it was certain that it holds. */
  ageMs(entry: Entry<unknown>): number;
}

export function createFreshness(
  feed: Pick<ChangeFeed, 'session' | 'heardUntilMs'>,
  limits: CacheLimits,
  now: () => number,
): Freshness {
  const ageMs = ({ asOfMs, session }: Entry<unknown>): number =>
    Math.max(0, now() - (session === 0 ? asOfMs : Math.max(asOfMs, feed.heardUntilMs(session))));
  const isOld = ({ value, asOfMs }: Entry<unknown>): boolean =>
    now() - asOfMs > (value === null ? limits.absentMs : limits.longestMs);
  return {
    isFresh: (entry) => ageMs(entry) <= limits.unprovenMs && !isOld(entry),
    isProvable: (entry) => entry.session !== 0 && entry.session === feed.session() && !isOld(entry),
    isWithinGrace: (entry) => ageMs(entry) <= (entry.value === null ? limits.absentMs : limits.graceMs),
    ageMs,
  };
}
