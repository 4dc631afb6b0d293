import type { Scale } from '../scale.ts';

/** How much of everything a scale measures. */
export interface OrdersScale {
  /** Orders generated before anything is measured, spread over 24 months. */
  readonly orders: number;
  /** Orders of one round of bulk and COPY. */
  readonly bulkOrders: number;
  readonly bulkRounds: number;
  readonly loadSeconds: number;
  /** Pool sizes tried for the baseline of single writes. */
  readonly poolSizes: readonly number[];
  /** For reads measured twice, on few and on all orders. */
  readonly growthFrom: number | null;
}

export const ordersScales: Readonly<Record<Scale, OrdersScale>> = {
  // One round of 100,000: it ends within a minute. `full` has the rounds that even out a noisy machine.
  small: { orders: 100_000, bulkOrders: 100_000, bulkRounds: 1, loadSeconds: 2, poolSizes: [8, 32], growthFrom: null },
  full: {
    orders: 5_000_000,
    bulkOrders: 200_000,
    bulkRounds: 5,
    loadSeconds: 10,
    poolSizes: [4, 8, 16, 32, 64],
    growthFrom: 50_000,
  },
};
