import type { Scale } from '../scale.ts';

/** How much of everything a scale measures. */
export interface CitusScale {
  /** What every place holds before anything is measured. */
  readonly orders: number;
  readonly shipments: number;
  readonly tickets: number;
  readonly usageRecords: number;
  readonly subscriptions: number;
  /** Rounds of each workload, and how long each takes of those that go on for a time. */
  readonly rounds: number;
  readonly seconds: number;
  /** Rows of one bulk request. */
  readonly bulkOrders: number;
  readonly bulkRecords: number;
  /** Orders whose statuses are reported one by one, two each, over all rounds. */
  readonly pendingOrders: number;
}

export const citusScales: Readonly<Record<Scale, CitusScale>> = {
  small: {
    orders: 40_000,
    shipments: 10_000,
    tickets: 10_000,
    usageRecords: 40_000,
    subscriptions: 4_000,
    rounds: 2,
    seconds: 1,
    bulkOrders: 5_000,
    bulkRecords: 20_000,
    pendingOrders: 12_000,
  },
  full: {
    orders: 500_000,
    shipments: 100_000,
    tickets: 200_000,
    usageRecords: 1_000_000,
    subscriptions: 50_000,
    rounds: 7,
    seconds: 5,
    bulkOrders: 50_000,
    bulkRecords: 200_000,
    pendingOrders: 150_000,
  },
};

/** As in production (`milliard migrate`). */
export const shards = 16;

/** Customers by Zipf's law: the largest have far more orders than a node's share. */
export const zipf = 1.1;
