import { z } from 'zod';
import type { Currency } from '../../core/money.ts';
import {
  type Clock,
  dayMs,
  formatInstant,
  type Instant,
  type Month,
  monthOf,
  parseInstant,
  startOfMonth,
} from '../../core/time.ts';
import type { JobKind, JobRange, JobWork, RunId } from '../../jobs/job.ts';
import { createOrderMaker, type GenerateOptions } from './order-generator.ts';
import type { OrderWriter } from './order-write-service.ts';

const maxOrders = 1_000_000_000;
const maxCustomers = 10_000_000;
const firstYear = Date.UTC(1995);

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
  count: z.int().min(1).max(maxOrders).meta({ description: 'How many orders.' }),
  customers: z.int().min(1).max(maxCustomers).optional().meta({
    description: 'How many customers share them; a tenth of count where it is left out.',
  }),
  zipf: z.number().min(0).max(10).default(1).meta({
    description: 'Customer k has orders in proportion to 1/k^zipf; 0 = all alike.',
  }),
  from: time('Placed at or after; where it is left out, 24 months before `to`.'),
  to: time('Placed before; where it is left out, the midnight (UTC) before the run was started.'),
  cancelled: z.number().min(0).max(1).default(0.08).meta({ description: 'Share of cancelled orders.' }),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .nullable()
    .default(null)
    .meta({
      description: 'The same seed and parameters make the same orders; drawn by lot where it is left out.',
    }),
});

const generateParameters = (clock: Clock) =>
  generateFields
    .transform((given) => ({
      ...given,
      customers: given.customers ?? Math.min(maxCustomers, Math.ceil(given.count / 10)),
    }))
    .superRefine((given, context) => {
      const { from, to } = periodOf(given, clock.now());
      const fault =
        from >= to
          ? 'must lie before `to`'
          : from < firstYear
            ? 'must not lie before 1995, the first year that is kept'
            : null;
      if (fault !== null) context.addIssue({ code: 'custom', path: ['from'], message: fault });
      if (to > clock.now()) context.addIssue({ code: 'custom', path: ['to'], message: 'must not lie in the future' });
    });

type GenerateParameters = z.output<ReturnType<typeof generateParameters>>;

/** When the orders are placed, as seen at a moment. Whole days, so that the same seed makes the same orders all day long. */
function periodOf({ from, to }: Pick<GenerateParameters, 'from' | 'to'>, at: Instant): { from: Instant; to: Instant } {
  const end = (to === null ? null : readTime(to)) ?? ((Math.floor(at / dayMs) * dayMs) as Instant);
  return { from: (from === null ? null : readTime(from)) ?? startOfMonth((monthOf(end) - 24) as Month), to: end };
}

/** Orders made so far, in the whole run's numbering: the next one is the one behind it. */
type GenerateCursor = number;

interface GeneratePlan {
  readonly first: number;
  readonly last: number;
}

export interface OrderGenerateDeps {
  readonly writer: OrderWriter;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
}

/**
 * Made-up orders with their histories. Which orders follows from the parameters and, where these leave something to the day or
 * to the lot, from the run's id: whoever goes on with the run makes the same ones.
 */
export const createOrderGenerateKind = (
  deps: OrderGenerateDeps,
): JobKind<GenerateParameters, GenerateCursor, GeneratePlan> => ({
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
  // Version 7: begins with the time it was made at, ends with bits that were drawn by lot.
  const startedAt = Number.parseInt(runId.slice(0, 8) + runId.slice(9, 13), 16) as Instant;
  return {
    ...{ count, customers, zipf, ...periodOf(parameters, startedAt) },
    cancelledShare: cancelled,
    seed: seed ?? Number.parseInt(runId.slice(-8), 16),
    currency: defaultCurrency,
  };
}

function generateWork(
  { writer }: OrderGenerateDeps,
  options: GenerateOptions,
  rehearsal: boolean,
): JobWork<GenerateCursor, GeneratePlan> {
  const { count, seed, from, to } = options;
  const make = createOrderMaker(options);
  return {
    total: async () => ({ rows: count, precision: 'exact' }),
    ranges: async () => divided(count),
    async plan(_tx, { after, upTo, rows }) {
      const first = (after ?? 0) + 1;
      const last = Math.min(first + rows - 1, upTo ?? count);
      if (first > last) return null;
      return { rows: last - first + 1, cursor: last, plan: { first, last }, rowKey: `GEN${seed}-${first}` };
    },
    async apply(tx, { plan: { first, last } }) {
      const orders = Array.from({ length: last - first + 1 }, (_, i) => make(first + i));
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

// While one transaction waits for the database the rows of the other are encoded; more wait for each other's processor.
const ranges = 2;
const worthDividing = 10_000;

function divided(count: number): JobRange<GenerateCursor>[] {
  if (count < worthDividing) return [{ from: null, to: null }];
  const edges = Array.from({ length: ranges + 1 }, (_, i) => Math.round((count * i) / ranges));
  return edges.slice(1).map((to, i) => ({ from: edges[i] ?? null, to }));
}
