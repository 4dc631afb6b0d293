import { z } from 'zod';
import type { Clock } from '../../core/time.ts';
import type { JobKind, JobWork } from '../../jobs/job.ts';
import { eachNumber, type Numbers, numberedWork } from '../../jobs/numbered-work.ts';
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

/** Made-up tickets for trying things out at size, each with its token. Which tickets follows from the parameters alone. */
export const createTicketGenerateKind = (clock: Clock): JobKind<GenerateParameters, number, Numbers> => ({
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

function generateWork({ count, events, holders }: GenerateParameters, clock: Clock): JobWork<number, Numbers> {
  const sizes = { events, holders };
  return {
    ...numberedWork({ count, worthDividing: 20_000, rowKey: (number) => `ticket ${number}` }),
    async apply(tx, { plan }) {
      const now = clock.now();
      const placed = eachNumber(plan, (number) => placeTicket(generatedTicket(number, sizes), null, { now }));
      await insertByCopy(tx, placed.sort(byHome));
      return { counts: { created: placed.length } };
    },
    finish: async () => ({ kind: 'done', result: { tickets: count, ...sizes } }),
  };
}
