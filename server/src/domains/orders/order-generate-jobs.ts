import { z } from 'zod';
import type { Currency } from '../../core/money.ts';
import { type Clock, formatInstant, type Instant, type Month, monthOf, startOfMonth } from '../../core/time.ts';
import type { JobKind, JobWork, RunId } from '../../jobs/job.ts';
import { drawnSeed, eachNumber, type Numbers, numberedWork, seedParameter, startOf } from '../../jobs/numbered-work.ts';
import { checkPeriod, type GivenPeriod, periodOf, timeParameter } from '../../jobs/period-parameters.ts';
import { createOrderMaker, type GenerateOptions } from './order-generator.ts';
import type { OrderWriter } from './order-write-service.ts';

const maxOrders = 1_000_000_000;
const maxCustomers = 10_000_000;

const generateFields = z.strictObject({
  count: z.int().min(1).max(maxOrders).meta({ description: 'How many orders.' }),
  customers: z.int().min(1).max(maxCustomers).optional().meta({
    description: 'How many customers share them; a tenth of count where it is left out.',
  }),
  zipf: z.number().min(0).max(10).default(1).meta({
    description: 'Customer k has orders in proportion to 1/k^zipf; 0 = all alike.',
  }),
  from: timeParameter('Placed at or after; where it is left out, 24 months before `to`.'),
  to: timeParameter('Placed before; where it is left out, the midnight (UTC) before the run was started.'),
  cancelled: z.number().min(0).max(1).default(0.08).meta({ description: 'Share of cancelled orders.' }),
  seed: seedParameter('orders'),
});

const generateParameters = (clock: Clock) =>
  generateFields
    .transform((given) => ({
      ...given,
      customers: given.customers ?? Math.min(maxCustomers, Math.ceil(given.count / 10)),
    }))
    .superRefine((given, context) => {
      const now = clock.now();
      checkPeriod(placedIn(given, now), now, context);
    });

type GenerateParameters = z.output<ReturnType<typeof generateParameters>>;

/** When the orders are placed, as seen at a moment: in 24 months where only their end is known. */
const placedIn = (given: GivenPeriod, at: Instant) =>
  periodOf(given, at, (to) => startOfMonth((monthOf(to) - 24) as Month));

export interface OrderGenerateDeps {
  readonly writer: OrderWriter;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
}

/**
 * Made-up orders with their histories. Which orders follows from the parameters and, where these leave something to the day or
 * to the lot, from the run's id: whoever goes on with the run makes the same ones.
 */
export const createOrderGenerateKind = (deps: OrderGenerateDeps): JobKind<GenerateParameters, number, Numbers> => ({
  name: 'orders.generate',
  title: 'make up orders',
  parameters: generateParameters(deps.clock),
  runsOn: 'anyone',
  batchRows: { initial: 2_000, min: 200, max: 20_000 },
  maxRowErrors: 0,
  tables: () => ['orders', 'order_statuses', 'order_keys'],
  uniqueKey: (parameters) => JSON.stringify(parameters),
  open: async ({ runId, parameters, rehearsal }) => generateWork(deps, optionsOf(parameters, runId, deps), rehearsal),
});

function optionsOf(
  parameters: GenerateParameters,
  runId: RunId,
  { defaultCurrency }: OrderGenerateDeps,
): GenerateOptions {
  const { count, customers, zipf, cancelled, seed } = parameters;
  return {
    ...{ count, customers, zipf, ...placedIn(parameters, startOf(runId)) },
    cancelledShare: cancelled,
    seed: seed ?? drawnSeed(runId),
    currency: defaultCurrency,
  };
}

function generateWork(
  { writer }: OrderGenerateDeps,
  options: GenerateOptions,
  rehearsal: boolean,
): JobWork<number, Numbers> {
  const { count, seed, from, to } = options;
  const make = createOrderMaker(options);
  return {
    ...numberedWork({ count, worthDividing: 10_000, rowKey: (number) => `GEN${seed}-${number}` }),
    async apply(tx, { plan }) {
      const orders = eachNumber(plan, make);
      const outcomes = await writer.writeIn(
        tx,
        orders.map((order) => ({ order, requestKey: null, actor: 'generate' })),
        rehearsal ? 'within' : 'apart',
      );
      const counts = { orders_created: 0, orders_replayed: 0, orders_rejected: 0, items: 0 };
      for (const [i, { kind }] of outcomes.entries()) {
        if (kind === 'created') counts.items += orders[i]?.items.length ?? 0;
        counts[countOf[kind]]++;
      }
      return { counts };
    },
    finish: async () => ({
      kind: 'done',
      result: { seed, customers: options.customers, from: formatInstant(from), to: formatInstant(to) },
    }),
  };
}

/** Orders of this number that were there before: the same ones, or others that the same seed made with other parameters. */
const countOf = { created: 'orders_created', replayed: 'orders_replayed', refused: 'orders_rejected' } as const;
