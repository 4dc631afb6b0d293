import type { Scale } from '../scale.ts';

/** How much of everything a scale measures. */
export interface ShipmentsScale {
  /** Shipments that are there before anything is looked up. */
  readonly shipments: number;
  /** Of each kind of look-up, over all rounds; autocannon counts whole seconds. */
  readonly loadSeconds: number;
  /** Look-ups are drawn beforehand and asked for again and again. */
  readonly drawnLookUps: number;
  /** Article rows of the imported file. */
  readonly importRows: number;
  /** How long exactly 1,000 requests a second are held. */
  readonly floorSeconds: number;
  /** Cold keys on which a herd is let loose. */
  readonly herds: number;
}

export const shipmentsScales: Readonly<Record<Scale, ShipmentsScale>> = {
  small: {
    shipments: 100_000,
    loadSeconds: 5,
    drawnLookUps: 32_000,
    importRows: 50_000,
    floorSeconds: 10,
    herds: 5,
  },
  full: {
    shipments: 1_000_000,
    loadSeconds: 15,
    drawnLookUps: 64_000,
    importRows: 200_000,
    floorSeconds: 30,
    herds: 20,
  },
};
