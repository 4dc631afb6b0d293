import { z } from 'zod';
import { storableText } from '../../core/validation.ts';
import type { NewTicket } from './ticket.ts';

/** One ticket as the API takes it, alone and in bulk. */
export const ticketSubmission = z
  .strictObject({
    holder: storableText(200).meta({ description: 'Whose ticket it is, as you know people: an id, not a secret.' }),
    event: storableText(200).meta({ description: 'What it admits to. Tokens can be rotated event by event.' }),
    ticket_number: storableText(100)
      .optional()
      .meta({ description: 'Unique per holder: the same ticket sent again is recognised by it.' }),
    seat: storableText(100).optional(),
  })
  .transform(
    (document): NewTicket => ({
      holder: document.holder,
      event: document.event,
      ticketNumber: document.ticket_number ?? null,
      seat: document.seat ?? null,
    }),
  );
