import type { Scale } from '../scale.ts';

/** How much of everything a scale measures. */
export interface UsageScale {
  /** How long records are sent over HTTP, for each kind of keys. */
  readonly ingestSeconds: number;
  /** COPY before and again after it, each so long. */
  readonly copySeconds: number;
  /** Different records that the sender goes through again and again under new ids. */
  readonly poolRows: number;
  /** Records written row by row with signals, and in batches by way of row triggers. */
  readonly signalRows: number;
  readonly triggerRows: number;
  /** Subscriptions that reads go over, each with data and voice. */
  readonly subscriptions: number;
  /** Raw rows at which reads are measured a second time. */
  readonly grownRows: number;
  readonly readSeconds: number;
  /** Records for each of the answers of `--compare`. */
  readonly compareRows: number;
}

export const usageScales: Readonly<Record<Scale, UsageScale>> = {
  small: {
    ingestSeconds: 5,
    copySeconds: 1,
    poolRows: 200_000,
    signalRows: 1_000,
    triggerRows: 60_000,
    subscriptions: 50_000,
    grownRows: 300_000,
    readSeconds: 2,
    compareRows: 40_000,
  },
  full: {
    ingestSeconds: 60,
    copySeconds: 10,
    poolRows: 2_000_000,
    signalRows: 10_000,
    triggerRows: 500_000,
    subscriptions: 1_000_000,
    grownRows: 20_000_000,
    readSeconds: 10,
    compareRows: 400_000,
  },
};

/** Which keys records have. Days are whole ones before today. */
export interface Keys {
  readonly subscriptions: number;
  readonly days: number;
}

/** 4,000 sums a day at most. */
export const hotKeys: Keys = { subscriptions: 2_000, days: 1 };
/** 2.8 million sums. */
export const uniformKeys: Keys = { subscriptions: 200_000, days: 7 };
