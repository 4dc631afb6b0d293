import { z } from 'zod';
import type { HttpDeps, Routes } from '../http-types.ts';
import { ticketIdParams } from '../ticket-query.ts';
import { tokenSchema, toVerificationDocument, verificationSchema } from '../ticket-representation.ts';
import { answerSchema } from '../validation.ts';

const noQuery = z.strictObject({});
const tags = ['tickets'];

// Whatever a scanner reads is judged: what is no token is unknown, not a fault.
const verifyBody = z
  .strictObject({ token: z.string().trim().min(1).max(500).meta({ description: 'As the scanner reads it.' }) })
  .meta({ id: 'VerifyTicket', 'x-examples': [{ token: '6f1c0f4e-2b7a-4a5c-9d3e-8c1b7a605d2f' }] });

/** The two calls that have to do with tokens: the only one that shows them, and the only one that takes them. */
export function addTicketTokenRoutes(routes: Routes, { app: { tickets }, metrics }: HttpDeps): void {
  routes.get(
    '/tickets/:id/token',
    {
      schema: {
        summary: "Read a ticket's token",
        description:
          'The secret, for its holder: never cached, and shown by no other call. 409 for a void ticket, and while a rotation has revoked the old token and not yet issued the new one.',
        tags,
        querystring: noQuery,
        params: ticketIdParams,
        response: { 200: answerSchema(tokenSchema, 'The token that opens the ticket now.') },
      },
      config: { scope: 'tickets:token', problems: ['ticket_not_found', 'ticket_void', 'token_not_issued'] },
    },
    async (request, reply) => {
      const token = await tickets.getToken(request.params.id);
      void reply.header('cache-control', 'no-store');
      return { token };
    },
  );
  routes.post(
    '/tickets/verify',
    {
      schema: {
        summary: 'Verify a token',
        description:
          'What a token is worth, for a scanner at the door: 200 whatever it is, also for what is no token at all. A token is sent in the body only, so that no URL and no log holds it.',
        tags,
        querystring: noQuery,
        body: verifyBody,
        response: {
          200: answerSchema(verificationSchema, 'The verdict, and the ticket where there is one to be shown.'),
        },
      },
      config: { scope: 'tickets:verify', problems: ['body_too_large', 'unsupported_media_type'] },
    },
    async (request) => {
      const verification = await tickets.verifyToken(request.body.token);
      metrics.addVerification(verification.verdict);
      return toVerificationDocument(verification);
    },
  );
}
