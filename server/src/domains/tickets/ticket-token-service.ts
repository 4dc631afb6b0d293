import { DomainError } from '../../core/errors.ts';
import { parseTicketToken, type TicketId, type TicketToken } from '../../core/ids.ts';
import type { Clock } from '../../core/time.ts';
import type { Database } from '../../storage/database.ts';
import type { Ticket, TicketErrorCode } from './ticket.ts';
import { ticketNotFound } from './ticket-read-service.ts';
import { isRefused, judgeToken, type TokenVerdict } from './ticket-token.ts';
import { ticketByToken, tokensOfTicket } from './ticket-tokens-queries.ts';

export interface Verification {
  readonly verdict: TokenVerdict;
  /** The ticket that a valid token opens, or that is void; null where the token tells nothing. */
  readonly ticket: Ticket | null;
}

export interface TicketTokens {
  /**
   * The ticket's secret, for its holder alone.
   * @throws DomainError `ticket_not_found`; `ticket_void`; `token_not_issued` while a rotation has not come to this ticket yet
   */
  getToken(id: TicketId): Promise<TicketToken>;
  /**
   * Says what a token is worth: any text is judged, none is an error. From the commit of a cut-off on, no question that comes
   * later finds an older token valid, on any server.
   */
  verifyToken(text: string): Promise<Verification>;
}

export function createTicketTokens({ db, clock }: { readonly db: Database; readonly clock: Clock }): TicketTokens {
  return {
    async getToken(id) {
      const tokens = await db.read(tokensOfTicket(id));
      const [first] = tokens;
      if (first === undefined) throw ticketNotFound(id);
      if (first.voided)
        throw new DomainError<TicketErrorCode>('ticket_void', 'This ticket is void: no token opens it any more.', {
          ticket_id: id,
        });
      const newest = tokens.reduce((best, one) => ((one.generation ?? 0) > (best.generation ?? 0) ? one : best), first);
      const { token, generation, event, newer } = newest;
      if (token === null || generation === null || isRefused(newer, { generation, event }, clock.now())) {
        throw new DomainError<TicketErrorCode>(
          'token_not_issued',
          'The token of this ticket was revoked, and the rotation that issues new ones has not come to it yet.',
          { ticket_id: id },
        );
      }
      return token;
    },
    async verifyToken(text) {
      const token = parseTicketToken(text);
      if (token === null) return { verdict: 'unknown', ticket: null };
      const [row] = await db.read(ticketByToken(token));
      if (row === undefined) return { verdict: 'unknown', ticket: null };
      const { generation, newer, ...ticket } = row;
      const verdict = judgeToken({ generation, event: ticket.event, voidedAt: ticket.voidedAt }, newer, clock.now());
      return { verdict, ticket: verdict === 'token_rotated' ? null : ticket };
    },
  };
}
