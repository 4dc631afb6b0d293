import { z } from 'zod';
import type { Clock } from '../../core/time.ts';
import type { JobKind, JobRange, JobWork } from '../../jobs/job.ts';
import { insertByCopy } from './ticket-batch-service.ts';
import { generatedTicket } from './ticket-generator.ts';
import { byHome, placeTicket } from './ticket-placement.ts';

const maxTickets = 1_000_000_000;

const generateParameters = z
  .strictObject({
    count: z.int().min(1).max(maxTickets).meta({ description: 'How many tickets.' }),
    events: z.int().min(1).max(1_000_000).default(100).meta({ description: 'How many events share them.' }),
    holders: z.int().min(1).max(maxTickets).optional().meta({
      description: 'How many holders share them; a quarter of count where it is left out.',
    }),
  })
  .transform((given) => ({ ...given, holders: given.holders ?? Math.ceil(given.count / 4) }));

type GenerateParameters = z.output<typeof generateParameters>;

/** Tickets of the run made so far in its range: ticket n is the n-th, from 1 on. */
type GenerateCursor = number;

interface GeneratePlan {
  readonly first: number;
  readonly last: number;
}

// Two connections keep two processors of the database busy; beyond that this process, which encodes the rows, is the limit.
const ranges = 2;
const worthDividing = 20_000;

/** Made-up tickets for trying things out at size, each with its token. Which tickets follows from the parameters alone. */
export const createTicketGenerateKind = (clock: Clock): JobKind<GenerateParameters, GenerateCursor, GeneratePlan> => ({
  name: 'tickets.generate',
  title: 'make up tickets',
  parameters: generateParameters,
  runsOn: 'anyone',
  batchRows: { initial: 2_000, min: 100, max: 20_000 },
  maxRowErrors: 0,
  tables: () => ['tickets', 'ticket_tokens'],
  uniqueKey: () => null,
  open: async ({ parameters }) => generateWork(parameters, clock),
});

function generateWork(
  { count, events, holders }: GenerateParameters,
  clock: Clock,
): JobWork<GenerateCursor, GeneratePlan> {
  const sizes = { events, holders };
  return {
    total: async () => ({ rows: count, precision: 'exact' }),
    ranges: async () => divided(count),
    async plan(_tx, { after, upTo, rows }) {
      const first = (after ?? 0) + 1;
      const last = Math.min(first + rows - 1, upTo ?? count);
      if (first > last) return null;
      return { rows: last - first + 1, cursor: last, plan: { first, last }, rowKey: `ticket ${first}` };
    },
    async apply(tx, { plan: { first, last } }) {
      const now = clock.now();
      const placed = Array.from({ length: last - first + 1 }, (_, i) =>
        placeTicket(generatedTicket(first + i, sizes), null, { now }),
      );
      await insertByCopy(tx, placed.sort(byHome));
      return { counts: { created: placed.length } };
    },
    finish: async () => ({ kind: 'done', result: { tickets: count, ...sizes } }),
  };
}

function divided(count: number): JobRange<GenerateCursor>[] {
  if (count < worthDividing) return [{ from: null, to: null }];
  const edges = Array.from({ length: ranges + 1 }, (_, i) => Math.round((count * i) / ranges));
  return edges.slice(1).map((to, i) => ({ from: edges[i] ?? null, to }));
}
