import { bucketOfId, type TicketId, type TicketToken } from '../../core/ids.ts';
import { inBucket, type RowTexts, type Statement, statement, transpose, withRows } from '../../storage/sql.ts';
import type { Ticket } from './ticket.ts';
import type { PlacedTicket } from './ticket-placement.ts';
import type { TokenGeneration } from './ticket-token.ts';
import { ticketColumns, ticketOf } from './tickets-queries.ts';

export interface TokenToIssue {
  readonly placed: PlacedTicket;
  readonly generation: number;
}

// The database makes the tokens: none travels to it, so that none can stand in the context of an error or a log of parameters.
export const issueTokens = statement<object, [readonly TokenToIssue[]]>(
  'issue_tokens',
  `insert into ticket_tokens (ticket_id, bucket, generation, token)
   select u.ticket_id, u.bucket, u.generation, new_ticket_token(u.bucket)
     from unnest($1::uuid[], $2::smallint[], $3::int[]) as u (ticket_id, bucket, generation)`,
  (rows) =>
    transpose(
      rows.map(({ placed, generation }) => [placed.ticket.ticketId, placed.bucket, generation]),
      3,
    ),
);

// In the same statement as the token, so that both are of one moment. A valid token has none of these, or those of a grace: the
// answer stays small however many events were rotated.
const newerGenerations = `(
  select coalesce(jsonb_agg(jsonb_build_object('generation', g.generation, 'event', g.event,
           'refusedFrom', extract(epoch from g.refused_from) * 1000, 'createdAt', extract(epoch from g.created_at) * 1000)), '[]')
    from token_generations g
   where g.generation > k.generation and (g.event is null or g.event = t.event)) as newer`;

export interface TicketOfToken extends Ticket {
  readonly generation: number;
  /** The generations after the token's own in whose scope the ticket is. */
  readonly newer: readonly TokenGeneration[];
}

const selectByToken = statement<unknown, [TicketToken]>(
  'ticket_by_token',
  `select ${ticketColumns}, k.generation, ${newerGenerations}
     from ticket_tokens k join tickets t on t.bucket = k.bucket and t.ticket_id = k.ticket_id
    where k.bucket = $1 and k.token = $2`,
  (token) => [bucketOfId(token), token],
);

const columnsOfTicket = 8;

function ticketOfToken(texts: RowTexts): TicketOfToken {
  const [generation, newer] = texts.slice(columnsOfTicket);
  return {
    ...ticketOf(texts),
    generation: Number(generation),
    // Nearly always: nothing is parsed for the token that a door sees every second.
    newer: newer == null || newer === '[]' ? [] : (JSON.parse(newer) as TokenGeneration[]),
  };
}

/** The ticket a token belongs to: one bucket, one probe of an index for each generation that is kept. */
export const ticketByToken = (token: TicketToken): Statement<TicketOfToken> =>
  inBucket(withRows(selectByToken(token), ticketOfToken), bucketOfId(token));

export interface StoredToken {
  readonly event: string;
  readonly voided: boolean;
  /** Null when the ticket has no token. */
  readonly generation: number | null;
  readonly token: TicketToken | null;
  readonly newer: readonly TokenGeneration[];
}

const selectTokens = statement<StoredToken, [TicketId]>(
  'tokens_of_ticket',
  `select t.event, t.voided_at is not null as voided, k.generation, k.token, ${newerGenerations}
     from tickets t left join ticket_tokens k on k.bucket = t.bucket and k.ticket_id = t.ticket_id
    where t.bucket = $1 and t.ticket_id = $2`,
  (id) => [bucketOfId(id), id],
);

/** A ticket with each of its tokens; no row when there is no such ticket. */
export const tokensOfTicket = (id: TicketId): Statement<StoredToken> => inBucket(selectTokens(id), bucketOfId(id));
