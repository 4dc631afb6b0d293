import { type Bucket, bucketOf } from '../../core/bucket.ts';
import { newTicketId, type RandomBytes } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { contentHashOf, keyOf, type NewTicket, type PlacedTicketKey, type Ticket } from './ticket.ts';

/** A submitted ticket with everything decided that can be decided without the database. Its token is made there. */
export interface PlacedTicket {
  readonly ticket: Ticket;
  readonly bucket: Bucket;
  /** What a replay is recognised by; null when the client gave no name at all. */
  readonly key: PlacedTicketKey | null;
  /** `keyIdentity` of the key, '' without one: compared so often in a batch that it is made once. */
  readonly identity: string;
  readonly contentHash: string;
}

/** Gives a submitted ticket its id and its home. Pure but for the randomness it is given. */
export function placeTicket(
  input: NewTicket,
  requestKey: string | null,
  { now, random }: { readonly now: Instant; readonly random?: RandomBytes },
): PlacedTicket {
  const bucket = bucketOf(input.holder);
  const key = keyOf(input, requestKey, bucket);
  return {
    ticket: {
      ticketId: newTicketId(now, bucket, random),
      holder: input.holder,
      event: input.event,
      ticketNumber: input.ticketNumber,
      seat: input.seat,
      createdAt: now,
      voidedAt: null,
      voidedBy: null,
      voidReason: null,
    },
    bucket,
    key,
    identity: key === null ? '' : keyIdentity(key),
    contentHash: contentHashOf(input),
  };
}

/** A key as one text, to compare keys within a batch. The bucket is left out: it follows from the holder. */
export const keyIdentity = ({ kind, holder, key }: Pick<PlacedTicketKey, 'kind' | 'holder' | 'key'>): string =>
  `${kind}\u0000${holder}\u0000${key}`;

/** Orders by key, so that concurrent batches claim keys in the same order and never wait for each other crosswise. */
export const byKey = (a: PlacedTicket, b: PlacedTicket): number =>
  a.bucket - b.bucket || (a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0);

/** Orders by home and id, as the indexes of the tables are: each grows at few places. */
export const byHome = (a: PlacedTicket, b: PlacedTicket): number =>
  a.bucket - b.bucket || (a.ticket.ticketId < b.ticket.ticketId ? -1 : 1);
