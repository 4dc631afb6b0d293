import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { parseTicketId, type TicketId } from '../../core/ids.ts';
import { storableText } from '../../core/validation.ts';
import { versionOf } from '../../domains/tickets/ticket.ts';
import { ticketSubmission } from '../../domains/tickets/ticket-submission.ts';
import { etagOf, isKnownVersion } from '../etag.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { decodePlace, encodePlace } from '../place-cursor.ts';
import { idempotencyHeader, idempotencyKeyOf } from '../request-input.ts';
import { boundTo, ticketIdParams, ticketListQuery, ticketSearch } from '../ticket-query.ts';
import { ticketPageSchema, ticketSchema, toTicketDocument } from '../ticket-representation.ts';
import { answerSchema } from '../validation.ts';

const noQuery = z.strictObject({});
const tags = ['tickets'];

const submissionBody = ticketSubmission.meta({
  id: 'NewTicket',
  'x-examples': [{ holder: 'CUST789', event: 'summer-fair-2026', ticket_number: 'T-1001', seat: 'A 12' }],
});

const voidBody = z
  .strictObject({ reason: storableText(500).optional().meta({ description: 'Why, for whoever asks later.' }) })
  .nullish()
  .transform((document) => document?.reason ?? null)
  .meta({ id: 'VoidTicket', 'x-examples': [{ reason: 'refunded' }] });

/** Creating, reading and voiding tickets. None of these answers holds a token: routes/ticket-tokens is about those. */
export function addTicketRoutes(routes: Routes, deps: HttpDeps): void {
  addCreate(routes, deps);
  addRead(routes, deps);
  addList(routes, deps);
  addVoid(routes, deps);
}

function addCreate(routes: Routes, { app: { tickets } }: HttpDeps): void {
  routes.post(
    '/tickets',
    {
      schema: {
        summary: 'Create a ticket',
        description:
          'The ticket gets its secret token at once; the answer does not hold it: GET /api/v1/tickets/{id}/token, with the scope tickets:token, is the only call that does. Idempotent by `ticket_number` (unique per holder), else by the header Idempotency-Key: a replay answers 201 again, with `Idempotent-Replayed: true`. With neither, a retry may create a second ticket.',
        tags,
        querystring: noQuery,
        headers: idempotencyHeader,
        body: submissionBody,
        response: { 201: answerSchema(ticketSchema, 'The ticket, created now or before.') },
      },
      config: {
        scope: 'tickets:write',
        problems: ['ticket_key_reused', 'ticket_refused', 'body_too_large', 'unsupported_media_type'],
      },
    },
    async (request, reply) => {
      const requestKey = idempotencyKeyOf(request.headers);
      const { ticket, replayed } = await tickets.createTicket({ ticket: request.body, requestKey });
      void reply.code(201).headers({ location: `/api/v1/tickets/${ticket.ticketId}`, etag: etagOf(versionOf(ticket)) });
      if (replayed) void reply.header('idempotent-replayed', 'true');
      return toTicketDocument(ticket);
    },
  );
}

// Beside the typed answers: a 304 has no body.
const notModified = (reply: unknown) => (reply as FastifyReply).code(304).send();

function addRead(routes: Routes, { app: { tickets } }: HttpDeps): void {
  routes.get(
    '/tickets/:id',
    {
      schema: {
        summary: 'Read a ticket',
        description: 'Send the ETag as If-None-Match to get 304 while nothing changed.',
        tags,
        querystring: noQuery,
        params: ticketIdParams,
        response: { 200: answerSchema(ticketSchema, 'The ticket, without its token.') },
      },
      config: { scope: 'tickets:read', problems: ['ticket_not_found'] },
    },
    async (request, reply) => {
      const ticket = await tickets.getTicket(request.params.id);
      const version = versionOf(ticket);
      void reply.headers({ etag: etagOf(version), 'cache-control': 'private, no-cache' });
      if (isKnownVersion(request.headers['if-none-match'], version)) return notModified(reply);
      return toTicketDocument(ticket);
    },
  );
}

function addList(routes: Routes, { app: { tickets } }: HttpDeps): void {
  routes.get(
    '/tickets',
    {
      schema: {
        summary: 'List tickets',
        description: `By event, by holder, or by both, in the order of created_at. A cursor walk skips and repeats nothing that was committed before it began. ${mayBeTorn('several holders')}`,
        tags,
        querystring: ticketListQuery,
        response: {
          200: answerSchema(ticketPageSchema, 'A page, and where the next one is (also in the header Link).'),
        },
      },
      config: { scope: 'tickets:read', problems: ['cursor_malformed', 'cursor_mismatch'] },
    },
    async ({ query }, reply) => {
      const { filter, direction, limit, cursor } = query;
      const isPlace = (text: string) => parseTicketId(text) !== null;
      const after = cursor === null ? null : (decodePlace(cursor, boundTo(query), isPlace) as TicketId);
      const page = await tickets.listTickets({ filter, direction, limit, after });
      const nextCursor = page.next === null ? null : encodePlace(page.next, boundTo(query));
      const next = nextCursor === null ? null : `/api/v1/tickets?${ticketSearch(query, nextCursor)}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      return { items: page.items.map(toTicketDocument), next_cursor: nextCursor, next };
    },
  );
}

function addVoid(routes: Routes, { app: { tickets } }: HttpDeps): void {
  routes.post(
    '/tickets/:id/void',
    {
      schema: {
        summary: 'Make a ticket void',
        description:
          'Once and for all: its token opens nothing from then on. A ticket that is void already stays as it is, with its first reason, and is answered with 200 too.',
        tags,
        querystring: noQuery,
        params: ticketIdParams,
        body: voidBody,
        response: { 200: answerSchema(ticketSchema, 'The ticket, void now or before.') },
      },
      config: {
        scope: 'tickets:write',
        problems: ['ticket_not_found', 'body_too_large', 'unsupported_media_type'],
      },
    },
    async (request, reply) => {
      const ticket = await tickets.voidTicket({
        ticketId: request.params.id,
        reason: request.body,
        actor: request.caller.actor,
      });
      void reply.header('etag', etagOf(versionOf(ticket)));
      return toTicketDocument(ticket);
    },
  );
}
