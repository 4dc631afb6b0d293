import { z } from 'zod';
import { type Day, daysBetween, formatDay, parseDay } from '../../core/days.ts';
import type { JobKind } from '../../jobs/job.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import { listRawDays } from '../../storage/day-partitions.ts';
import { type CompareCursor, type ComparePlan, compareWork } from './usage-compare-jobs.ts';

const day = (description: string) =>
  z
    .string()
    .refine((text) => parseDay(text) !== null, { error: 'must be a day, e.g. 2026-01-31' })
    .meta({ description });

const rebuildParameters = z
  .strictObject({
    from: day('The first UTC day.'),
    to: day('The last UTC day, inclusive.'),
  })
  .refine(({ from, to }) => from <= to, { error: 'must not lie behind `to`', path: ['from'] });
type RebuildParameters = z.output<typeof rebuildParameters>;

const mostDays = 1_000;

function daysOf({ from, to }: RebuildParameters): Day[] {
  const [first, last] = [parseDay(from), parseDay(to)];
  if (first === null || last === null) throw new RangeError('The days were not judged.');
  if (last - first < mostDays) return daysBetween(first, last);
  throw jobRefused(`That are more than ${mostDays} days. Rebuild fewer at once.`);
}

/**
 * Makes the sums of some days what their raw rows and adjustments say, and then the totals the sums of their days. What is
 * right already is not written again, so that whoever reads meanwhile sees no sum go down.
 */
export const createUsageRebuildKind = (): JobKind<RebuildParameters, CompareCursor, ComparePlan> => ({
  name: 'usage.rebuild',
  title: 'make the sums of some days anew from their raw rows',
  parameters: rebuildParameters,
  runsOn: 'anyone',
  batchRows: { initial: 5_000, min: 500, max: 50_000 },
  maxRowErrors: 0,
  tables: () => ['usage_daily', 'usage_totals'],
  uniqueKey: (parameters) => JSON.stringify(parameters),
  async check({ db, parameters }) {
    const present = new Set(await listRawDays(db));
    const missing = daysOf(parameters).find((one) => !present.has(one));
    if (missing === undefined) return;
    const [first] = present;
    throw jobRefused(
      `There are no raw rows of ${formatDay(missing)} (any more): its sums cannot be made anew from them. ` +
        (first === undefined ? '' : `Raw rows are there from ${formatDay(first)} on; `) +
        'sums of earlier days are changed by adjustments.',
    );
  },
  open: async ({ db, parameters }) => {
    const wanted = new Set(daysOf(parameters));
    return compareWork(db, { days: (one) => wanted.has(one), repair: true, totals: 'after mending' });
  },
});
