import { z } from 'zod';
import { type Day, dayOf, formatDay, parseDay } from '../../core/days.ts';
import type { Clock } from '../../core/time.ts';
import type { JobKind, JobWork, RunId } from '../../jobs/job.ts';
import { drawnSeed, numberedWork, seedParameter, startOf } from '../../jobs/numbered-work.ts';
import type { Rollup } from './rollup-service.ts';
import { createUsageMaker, type UsageGenerateOptions, usageSpreads } from './usage-generator.ts';
import { maxOpenDays } from './usage-horizon-service.ts';
import type { ReadRecords, UsageWriter } from './usage-writer-service.ts';

const generateFields = z.strictObject({
  count: z.int().min(1).max(1_000_000_000).meta({ description: 'How many records.' }),
  distribution: z.enum(['hot', 'uniform']).default('uniform').meta({
    description: 'hot: 2,000 subscriptions on one day; uniform: 200,000 subscriptions over 7 days.',
  }),
  subscriptions: z.int().min(1).max(100_000_000).nullable().default(null).meta({
    description: 'How many subscriptions share them, in place of those of the distribution.',
  }),
  days: z.int().min(1).max(365).nullable().default(null).meta({
    description: 'Over how many days they are spread, in place of those of the distribution.',
  }),
  to: z
    .string()
    .nullable()
    .default(null)
    .refine((text) => text === null || parseDay(text) !== null, { error: 'must be a day, e.g. 2026-01-31' })
    .meta({ description: 'The last UTC day; where it is left out, the day before the run was started.' }),
  seed: seedParameter('records'),
});

const generateParameters = (clock: Clock) =>
  generateFields.superRefine(({ to }, context) => {
    const day = to === null ? null : parseDay(to);
    if (day === null) return;
    const today = dayOf(clock.now());
    if (day >= today) context.addIssue({ code: 'custom', path: ['to'], message: 'must lie before today' });
    if (today - day > maxOpenDays)
      context.addIssue({ code: 'custom', path: ['to'], message: `must not be more than ${maxOpenDays} days ago` });
  });

type GenerateParameters = z.output<ReturnType<typeof generateParameters>>;

interface GeneratePlan {
  readonly records: ReadRecords;
}

export interface UsageGenerateDeps {
  readonly writer: UsageWriter;
  readonly rollup: Pick<Rollup, 'once'>;
  readonly clock: Clock;
}

/** Made-up usage. Which records follows from the parameters and, where these leave something to the day or the lot, from the run's id. */
export const createUsageGenerateKind = (
  deps: UsageGenerateDeps,
): JobKind<GenerateParameters, number, GeneratePlan> => ({
  name: 'usage.generate',
  title: 'make up usage',
  parameters: generateParameters(deps.clock),
  runsOn: 'anyone',
  batchRows: { initial: 5_000, min: 500, max: 20_000 },
  maxRowErrors: 0,
  tables: () => ['usage_records'],
  uniqueKey: (parameters) => JSON.stringify(parameters),
  open: async ({ runId, parameters, rehearsal }) =>
    generateWork(deps, { count: parameters.count, ...optionsOf(parameters, runId), rehearsal }),
});

function optionsOf(parameters: GenerateParameters, runId: RunId): UsageGenerateOptions {
  const { distribution, seed, to } = parameters;
  return {
    seed: seed ?? drawnSeed(runId),
    subscriptions: parameters.subscriptions ?? usageSpreads[distribution].subscriptions,
    days: parameters.days ?? usageSpreads[distribution].days,
    lastDay: (to === null ? null : parseDay(to)) ?? ((dayOf(startOf(runId)) - 1) as Day),
  };
}

interface Generating extends UsageGenerateOptions {
  readonly count: number;
  readonly rehearsal: boolean;
}

function generateWork(
  { writer, rollup }: UsageGenerateDeps,
  { count, rehearsal, ...options }: Generating,
): JobWork<number, GeneratePlan> {
  const make = createUsageMaker(options);
  const { lastDay, days, subscriptions, seed } = options;
  const firstDay = (lastDay - days + 1) as Day;
  const numbered = numberedWork({ count, worthDividing: 50_000, rowKey: (number) => `g${seed}-${number}` });
  return {
    ...numbered,
    async plan(tx, ask) {
      const batch = await numbered.plan(tx, ask);
      if (batch === null) return null;
      if (!rehearsal) await writer.openDays(firstDay);
      await writer.giveWay();
      const { first, last } = batch.plan;
      return { ...batch, plan: { records: writer.read(make(first, last), 'csv') } };
    },
    async apply(tx, { plan: { records } }) {
      const { accepted, duplicates, rejected } = await writer.writeIn(tx, records, 'generate');
      return { counts: { records_created: accepted, records_replayed: duplicates, records_rejected: rejected.length } };
    },
    async finish() {
      await rollup.once();
      return {
        kind: 'done',
        result: { seed, subscriptions, from: formatDay(firstDay), to: formatDay(lastDay) },
      };
    },
  };
}
