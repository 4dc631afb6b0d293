import { z } from 'zod';
import type { Currency } from '../../core/money.ts';
import { type Clock, dayMs, formatInstant, type Instant, parseInstant } from '../../core/time.ts';
import type { JobKind, JobRange, JobWork, RunId } from '../../jobs/job.ts';
import { writeBatchIn } from './shipment-batch-service.ts';
import { createShipmentMaker, type GenerateShipmentsOptions, maxGenerated } from './shipment-generator.ts';

const firstYear = Date.UTC(1995);
/** Made-up shipments are spread over so long before `to` where `from` is left out. */
const spreadMs = 90 * dayMs;

const time = (description: string) =>
  z
    .string()
    .max(60)
    .nullable()
    .default(null)
    .refine((text) => text === null || readTime(text) !== null, {
      error: 'must be a day, e.g. 2026-01-31, or an RFC 3339 date and time with a zone',
    })
    .meta({ description });

const readTime = (text: string): Instant | null =>
  parseInstant(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);

const generateFields = z.strictObject({
  count: z.int().min(1).max(maxGenerated).meta({ description: 'How many shipments.' }),
  from: time('Announced at or after; where it is left out, 90 days before `to`.'),
  to: time(
    'Announced before, and nothing happens later; where it is left out, the midnight (UTC) before the run began.',
  ),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .nullable()
    .default(null)
    .meta({ description: 'The same seed and parameters make the same shipments; drawn by lot where it is left out.' }),
});
type GenerateParameters = z.output<typeof generateFields>;

const generateParameters = (clock: Clock) =>
  generateFields.superRefine((given, context) => {
    const { from, to } = periodOf(given, clock.now());
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (from >= to) refuse('from', 'must lie before `to`');
    else if (from < firstYear) refuse('from', 'must not lie before 1995');
    if (to > clock.now()) refuse('to', 'must not lie in the future');
  });

/** When the shipments are announced, as seen at a moment. Whole days, so that the same seed makes the same ones all day long. */
function periodOf({ from, to }: Pick<GenerateParameters, 'from' | 'to'>, at: Instant): { from: Instant; to: Instant } {
  const end = (to === null ? null : readTime(to)) ?? ((Math.floor(at / dayMs) * dayMs) as Instant);
  return { from: (from === null ? null : readTime(from)) ?? ((end - spreadMs) as Instant), to: end };
}

/** Shipments made so far, in the whole run's numbering. */
type GenerateCursor = number;

interface GeneratePlan {
  readonly first: number;
  readonly last: number;
}

export interface ShipmentGenerateDeps {
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
}

/**
 * Made-up shipments with their articles and events. Which ones follows from the parameters and, where these leave something to
 * the day or to the lot, from the run's id: whoever goes on with the run makes the same ones.
 */
export const createShipmentGenerateKind = (
  deps: ShipmentGenerateDeps,
): JobKind<GenerateParameters, GenerateCursor, GeneratePlan> => ({
  name: 'shipments.generate',
  title: 'make up shipments',
  parameters: generateParameters(deps.clock),
  runsOn: 'anyone',
  // Each batch is three COPYs: small ones would spend their time on the way there and back.
  batchRows: { initial: 5_000, min: 2_000, max: 20_000 },
  maxRowErrors: 0,
  tables: () => ['shipments', 'shipment_articles', 'shipment_events'],
  uniqueKey: (parameters) => JSON.stringify(parameters),
  open: async ({ runId, parameters }) => generateWork(deps, optionsOf(parameters, runId, deps)),
});

function optionsOf(
  parameters: GenerateParameters,
  runId: RunId,
  { defaultCurrency }: ShipmentGenerateDeps,
): GenerateShipmentsOptions {
  const { count, seed } = parameters;
  // Version 7: begins with the time it was made at, ends with bits that were drawn by lot.
  const startedAt = Number.parseInt(runId.slice(0, 8) + runId.slice(9, 13), 16) as Instant;
  return {
    count,
    ...periodOf(parameters, startedAt),
    seed: seed ?? Number.parseInt(runId.slice(-8), 16),
    currency: defaultCurrency,
  };
}

function generateWork(
  { clock }: ShipmentGenerateDeps,
  options: GenerateShipmentsOptions,
): JobWork<GenerateCursor, GeneratePlan> {
  const { count, seed, from, to } = options;
  const make = createShipmentMaker(options);
  return {
    total: async () => ({ rows: count, precision: 'exact' }),
    ranges: async () => divided(count),
    async plan(_tx, { after, upTo, rows }) {
      const first = (after ?? 0) + 1;
      const last = Math.min(first + rows - 1, upTo ?? count);
      if (first > last) return null;
      return { rows: last - first + 1, cursor: last, plan: { first, last }, rowKey: `shipment ${first}` };
    },
    async apply(tx, { plan: { first, last } }) {
      const candidates = Array.from({ length: last - first + 1 }, (_, i) => ({
        placed: make(first + i),
        events: [],
        actor: 'generate',
      }));
      const { outcomes } = await writeBatchIn(tx, candidates, { clock, method: 'copy', again: false });
      const counts = { shipments_created: 0, shipments_replayed: 0, shipments_rejected: 0, articles: 0, events: 0 };
      for (const outcome of outcomes) {
        counts[countOf[outcome.kind]]++;
        if (outcome.kind !== 'created') continue;
        counts.articles += outcome.shipment.articles.length;
        counts.events += outcome.shipment.events.length;
      }
      return { counts };
    },
    finish: async () => ({
      kind: 'done',
      result: { seed, from: formatInstant(from), to: formatInstant(to) },
    }),
  };
}

/** Numbers that were there before: of the same shipments, or of others that a like seed made with other parameters. */
const countOf = {
  created: 'shipments_created',
  replayed: 'shipments_replayed',
  refused: 'shipments_rejected',
} as const;

// While one transaction waits for the database the rows of the other are encoded; more wait for each other's processor.
const ranges = 2;
const worthDividing = 10_000;

function divided(count: number): JobRange<GenerateCursor>[] {
  if (count < worthDividing) return [{ from: null, to: null }];
  const edges = Array.from({ length: ranges + 1 }, (_, i) => Math.round((count * i) / ranges));
  return edges.slice(1).map((to, i) => ({ from: edges[i] ?? null, to }));
}
