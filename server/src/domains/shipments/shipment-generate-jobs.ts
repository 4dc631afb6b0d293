import { z } from 'zod';
import type { Currency } from '../../core/money.ts';
import { type Clock, dayMs, formatInstant, type Instant } from '../../core/time.ts';
import type { JobKind, JobWork, RunId } from '../../jobs/job.ts';
import { drawnSeed, eachNumber, type Numbers, numberedWork, seedParameter, startOf } from '../../jobs/numbered-work.ts';
import { checkPeriod, type GivenPeriod, periodOf, timeParameter } from '../../jobs/period-parameters.ts';
import { writeBatchIn } from './shipment-batch-service.ts';
import { createShipmentMaker, type GenerateShipmentsOptions, maxGenerated } from './shipment-generator.ts';

/** Made-up shipments are spread over so long before `to` where `from` is left out. */
const spreadMs = 90 * dayMs;

const generateFields = z.strictObject({
  count: z.int().min(1).max(maxGenerated).meta({ description: 'How many shipments.' }),
  from: timeParameter('Announced at or after; where it is left out, 90 days before `to`.'),
  to: timeParameter(
    'Announced before, and nothing happens later; where it is left out, the midnight (UTC) before the run began.',
  ),
  seed: seedParameter('shipments'),
});
type GenerateParameters = z.output<typeof generateFields>;

const generateParameters = (clock: Clock) =>
  generateFields.superRefine((given, context) => {
    const now = clock.now();
    checkPeriod(announcedIn(given, now), now, context);
  });

/** When the shipments are announced, as seen at a moment. */
const announcedIn = (given: GivenPeriod, at: Instant) => periodOf(given, at, (to) => (to - spreadMs) as Instant);

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
): JobKind<GenerateParameters, number, Numbers> => ({
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
  return {
    count,
    ...announcedIn(parameters, startOf(runId)),
    seed: seed ?? drawnSeed(runId),
    currency: defaultCurrency,
  };
}

function generateWork({ clock }: ShipmentGenerateDeps, options: GenerateShipmentsOptions): JobWork<number, Numbers> {
  const { count, seed, from, to } = options;
  const make = createShipmentMaker(options);
  return {
    ...numberedWork({ count, worthDividing: 10_000, rowKey: (number) => `shipment ${number}` }),
    async apply(tx, { plan }) {
      const candidates = eachNumber(plan, (number) => ({ placed: make(number), events: [], actor: 'generate' }));
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
