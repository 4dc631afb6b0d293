import type { NewTicket } from './ticket.ts';

export interface GeneratedSizes {
  /** How many events and holders share the tickets. */
  readonly events: number;
  readonly holders: number;
}

const seatsARow = 40;

/** The n-th made-up ticket: the same for the same sizes. Events fill evenly; a holder's tickets are of several events. */
export function generatedTicket(n: number, { events, holders }: GeneratedSizes): NewTicket {
  const event = (n - 1) % events;
  const place = Math.floor((n - 1) / events);
  // A step prime to most counts: neighbours in a row are different people.
  const holder = (place * 7_919 + event) % holders;
  return {
    holder: `HOLDER${String(holder + 1).padStart(7, '0')}`,
    event: `EVENT${String(event + 1).padStart(4, '0')}`,
    ticketNumber: null,
    seat: `${Math.floor(place / seatsARow) + 1}-${(place % seatsARow) + 1}`,
  };
}
