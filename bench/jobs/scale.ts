import type { Scale } from '../scale.ts';

/** How much of everything a scale measures. */
export interface JobsScale {
  /** Tickets and rows of the compared tables. */
  readonly rows: number;
  /** Each way is measured so often, by turns. */
  readonly rounds: number;
  /** Rows of the loop that updates one at a time. */
  readonly rowByRow: number;
  readonly loadSeconds: number;
  /** How long the rotation is slowed down to for judging its remaining time. */
  readonly slowSeconds: number;
  /** Tickets of the second rotation whose memory is compared with a first one of a tenth. */
  readonly memoryRows: number;
}

export const jobsScales: Readonly<Record<Scale, JobsScale>> = {
  small: { rows: 200_000, rounds: 2, rowByRow: 5_000, loadSeconds: 2, slowSeconds: 20, memoryRows: 400_000 },
  full: { rows: 1_000_000, rounds: 3, rowByRow: 20_000, loadSeconds: 5, slowSeconds: 60, memoryRows: 2_000_000 },
};
