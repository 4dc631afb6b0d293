import { bucketOf } from '../../core/bucket.ts';
import { bucketOfId, type TicketId, timeOfId } from '../../core/ids.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import { parseTimestamptz } from '../../storage/pg-types.ts';
import {
  inBucket,
  prepared,
  type RowTexts,
  type Statement,
  sql,
  statement,
  transpose,
  withRows,
} from '../../storage/sql.ts';
import type { Ticket } from './ticket.ts';
import type { PlacedTicket } from './ticket-placement.ts';

export const ticketColumns = `t.ticket_id as "ticketId", t.holder, t.event, t.ticket_number as "ticketNumber", t.seat,
  t.voided_at as "voidedAt", t.voided_by as "voidedBy", t.void_reason as "voidReason"`;

/** A ticket of the texts of `ticketColumns`; created_at is in the id. */
export function ticketOf(texts: RowTexts): Ticket {
  const [ticketId, holder, event, ticketNumber, seat, voidedAt, voidedBy, voidReason] = texts;
  return {
    ticketId: ticketId as TicketId,
    holder: holder as string,
    event: event as string,
    ticketNumber: ticketNumber ?? null,
    seat: seat ?? null,
    createdAt: timeOfId(ticketId as TicketId),
    voidedAt: voidedAt == null ? null : parseTimestamptz(voidedAt),
    voidedBy: voidedBy ?? null,
    voidReason: voidReason ?? null,
  };
}

const selectById = statement<unknown, [TicketId]>(
  'ticket_by_id',
  `select ${ticketColumns} from tickets t where t.bucket = $1 and t.ticket_id = $2`,
  (id) => [bucketOfId(id), id],
);

export const ticketById = (id: TicketId): Statement<Ticket> =>
  inBucket(withRows(selectById(id), ticketOf), bucketOfId(id));

/** The values of one row in the order of `copyTickets`. */
export const ticketValues = ({ ticket, bucket }: PlacedTicket): (string | number | null)[] => [
  ticket.ticketId,
  bucket,
  ticket.holder,
  ticket.event,
  ticket.ticketNumber,
  ticket.seat,
  formatInstant(ticket.createdAt),
];

export const copyTickets =
  'copy tickets (ticket_id, bucket, holder, event, ticket_number, seat, created_at) from stdin';

// DO NOTHING: the ids are our own, so the only row that can be there is this one, written by the same transaction run before.
export const insertTickets = statement<{ ticketId: TicketId }, [readonly PlacedTicket[]]>(
  'insert_tickets',
  `insert into tickets (ticket_id, bucket, holder, event, ticket_number, seat, created_at)
   select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
   on conflict do nothing returning ticket_id as "ticketId"`,
  (rows) => transpose(rows.map(ticketValues), 7),
);

interface Voiding {
  readonly ticketId: TicketId;
  readonly reason: string | null;
  readonly actor: string;
  readonly at: Instant;
}

const updateVoided = statement<unknown, [Voiding]>(
  'void_ticket',
  `update tickets t set voided_at = $3, voided_by = $4, void_reason = $5
    where t.bucket = $1 and t.ticket_id = $2 and t.voided_at is null returning ${ticketColumns}`,
  ({ ticketId, reason, actor, at }) => [bucketOfId(ticketId), ticketId, formatInstant(at), actor, reason],
);

/** Makes a ticket void, once: no row when it was void before, or is not there. */
export const voidTicket = (voiding: Voiding): Statement<Ticket> => withRows(updateVoided(voiding), ticketOf);

/** What a list selects by: at least one of the two, for the indexes begin with them. */
export interface TicketSelection {
  readonly event: string | null;
  readonly holder: string | null;
}

export interface TicketWalk {
  readonly direction: 'newest' | 'oldest';
  /** The last id of the page before. */
  readonly after: TicketId | null;
}

// The limit stands in the text, so that the plan knows that few rows are read; few limits make few texts.
const limits = [11, 51, 101, 251, 501] as const;

/** At least `rows` tickets of the list where there are so many, at most 501; the caller cuts off what it did not ask for. */
export function ticketsPage(selection: TicketSelection, walk: TicketWalk, rows: number): Statement<Ticket> {
  const limit = limits.find((candidate) => candidate >= rows) ?? limits[limits.length - 1] ?? rows;
  const { event, holder } = selection;
  const newest = walk.direction === 'newest';
  const conditions = [
    ...(event === null ? [] : [sql`t.event = ${event}`]),
    ...(holder === null ? [] : [sql`t.holder = ${holder} and t.bucket = ${bucketOf(holder)}`]),
    ...(walk.after === null ? [] : [newest ? sql`t.ticket_id < ${walk.after}` : sql`t.ticket_id > ${walk.after}`]),
  ];
  const page = prepared(
    sql`select ${sql.raw(ticketColumns)} from tickets t where ${sql.join(conditions, sql` and `)}
      order by t.ticket_id ${newest ? sql`desc` : sql`asc`} limit ${sql.lit(limit)}`,
  );
  return withRows(page, ticketOf);
}

export const someActiveTicket = statement<{ ticketId: TicketId }>(
  'some_active_ticket',
  'select ticket_id as "ticketId" from tickets where voided_at is null limit 1',
);
