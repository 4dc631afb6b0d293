import { randomUUID } from 'node:crypto';
import type { Bucket } from '../core/bucket.ts';
import type { TicketToken } from '../core/ids.ts';

/** A token of no ticket, in this bucket: of the form of those that `new_ticket_token` makes in the database. */
export function newTicketToken(bucket: Bucket): TicketToken {
  const uuid = randomUUID();
  return `${uuid.slice(0, 15)}${bucket.toString(16).padStart(3, '0')}${uuid.slice(18)}` as TicketToken;
}
