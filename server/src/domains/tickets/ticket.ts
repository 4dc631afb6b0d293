import { hash } from 'node:crypto';
import type { Bucket } from '../../core/bucket.ts';
import type { TicketId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';

/** A ticket as somebody submits it: null is what they left out. */
export interface NewTicket {
  /** Whose ticket it is: a customer's id, an address: whatever the client knows people by. */
  readonly holder: string;
  readonly event: string;
  readonly ticketNumber: string | null;
  readonly seat: string | null;
}

/** A ticket as it is stored. Its token is no part of it and never travels with it. */
export interface Ticket {
  readonly ticketId: TicketId;
  readonly holder: string;
  readonly event: string;
  readonly ticketNumber: string | null;
  readonly seat: string | null;
  readonly createdAt: Instant;
  readonly voidedAt: Instant | null;
  readonly voidedBy: string | null;
  readonly voidReason: string | null;
}

/** Rises with the only change there is: a ticket becomes void once and for all. */
export const versionOf = (ticket: Pick<Ticket, 'voidedAt'>): number => (ticket.voidedAt === null ? 1 : 2);

export type TicketKeyKind = 'number' | 'request';

/** The name a client knows a ticket by (its ticket number, else the Idempotency-Key of the request) and where it stands. */
export interface PlacedTicketKey {
  readonly kind: TicketKeyKind;
  readonly key: string;
  readonly holder: string;
  readonly bucket: Bucket;
}

export function keyOf(
  { holder, ticketNumber }: NewTicket,
  requestKey: string | null,
  bucket: Bucket,
): PlacedTicketKey | null {
  if (ticketNumber !== null) return { kind: 'number', key: ticketNumber, holder, bucket };
  return requestKey === null ? null : { kind: 'request', key: requestKey, holder, bucket };
}

/**
 * A fingerprint of what was submitted: the same ticket sent again has the same one. 16 bytes of SHA-256 in hexadecimal:
 * thousands of small buffers would cost far more memory.
 */
export const contentHashOf = ({ holder, event, ticketNumber, seat }: NewTicket): string =>
  hash('sha256', JSON.stringify([holder, event, ticketNumber, seat]), 'hex').slice(0, 32);

/** Codes of this domain. HTTP maps each to a status; none may be left out there. */
export type TicketErrorCode =
  | 'ticket_not_found'
  | 'ticket_key_reused'
  | 'ticket_refused'
  | 'ticket_void'
  | 'token_not_issued';
