import { z } from 'zod';
import type { JobKind } from '../../jobs/job.ts';
import { type CompareCursor, type ComparePlan, compareWork, type KeptUsageDifference } from './usage-compare-jobs.ts';

const verifyParameters = z.strictObject({
  repair: z.boolean().default(false).meta({ description: 'Put differing sums right.' }),
});
type VerifyParameters = z.output<typeof verifyParameters>;

/** What is kept of the result when the run is done. */
export interface UsageVerifyResult {
  /** At most 100; the counts are of all. */
  readonly first_differences: readonly KeptUsageDifference[];
}

export interface UsageVerifyDeps {
  /** Told of each difference once its part of the sums is done; of one day or part of the totals at most 100. */
  readonly onDifference?: (difference: KeptUsageDifference) => void;
}

/** The daily sums of every day whose raw rows are there, and the totals of all time. */
export const createUsageVerifyKind = (
  deps: UsageVerifyDeps = {},
): JobKind<VerifyParameters, CompareCursor, ComparePlan> => ({
  name: 'usage.verify',
  title: 'compare the sums of usage with what they are made of',
  parameters: verifyParameters,
  runsOn: 'anyone',
  batchRows: { initial: 5_000, min: 500, max: 50_000 },
  maxRowErrors: 0,
  tables: () => ['usage_daily', 'usage_totals'],
  uniqueKey: ({ repair }) => (repair ? 'repair' : 'look'),
  open: async ({ db, parameters: { repair } }) =>
    compareWork(db, { days: () => true, repair, totals: 'always', ...deps }),
});
