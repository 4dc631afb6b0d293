import type { NewTicket } from '../domains/tickets/ticket.ts';
import type { Tickets } from '../domains/tickets/tickets-service.ts';

const events = ['summer-fair-2026', 'jazz-night', 'museum-late'] as const;
const ticketsAnEvent = 100;
const holders = 120;

/**
 * Makes some tickets in a database that has none. All of them or none: in one transaction; and they have numbers, so that two
 * servers that start at once make them once.
 */
export async function loadSampleTickets(
  { tickets }: { readonly tickets: Tickets },
  { report }: { readonly report: (text: string) => void },
): Promise<void> {
  if ((await tickets.findSomeTicket()) !== null) return;
  const outcomes = await tickets.writer.write(
    [...sampleTickets()].map((ticket) => ({ ticket, requestKey: null })),
    { by: 'copy' },
  );
  const created = outcomes.filter(({ kind }) => kind === 'created').length;
  if (created > 0) report(`loaded ${created} sample tickets of ${events.length} events`);
}

function* sampleTickets(): Generator<NewTicket> {
  for (const [e, event] of events.entries()) {
    for (let i = 0; i < ticketsAnEvent; i++) {
      yield {
        holder: `GUEST${String(1 + ((i * 7 + e * 31) % holders)).padStart(3, '0')}`,
        event,
        ticketNumber: `SAMPLE-${e + 1}-${i + 1}`,
        seat: `${String.fromCharCode(65 + Math.floor(i / 20))} ${(i % 20) + 1}`,
      };
    }
  }
}
