import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { eventSubmission, shipmentSubmission } from '../../domains/shipments/shipment-submission.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { jsonMediaType } from '../order-representation.ts';
import { attentionNow, shipmentTag } from '../shipment-answer.ts';
import { shipmentParams, shipmentUrl } from '../shipment-query.ts';
import { recordedEventJson, recordedEventSchema, shipmentJson, shipmentSchema } from '../shipment-representation.ts';
import { answerSchema } from '../validation.ts';

const noQuery = z.strictObject({});
const tags = ['shipments'];
// Beside the typed answers: text that is JSON already.
const plain = (reply: unknown) => reply as FastifyReply;

const shipmentBody = shipmentSubmission.meta({
  id: 'NewShipment',
  'x-examples': [
    {
      carrier: 'DHL',
      tracking_number: 'TN12345678',
      sender: { address: 'Street 1, 10115 Berlin, Germany' },
      receiver: { address: 'Street 10, 75001 Paris, France' },
      currency: 'EUR',
      expected_on: '2026-11-24',
      articles: [{ sku: 'LP123', name: 'Laptop', quantity: 1, unit_price: 80_000 }],
    },
  ],
});

const eventBody = eventSubmission.meta({
  id: 'NewShipmentEvent',
  'x-examples': [{ code: 'in-transit', occurred_at: '2026-11-20T07:45:00Z', city: 'Leipzig', country: 'DE' }],
});

/** Creating single shipments, and what carriers report of them. */
export function addShipmentWriteRoutes(routes: Routes, deps: HttpDeps): void {
  addCreate(routes, deps);
  addEvent(routes, deps);
}

function addCreate(routes: Routes, { app }: HttpDeps): void {
  routes.post(
    '/shipments',
    {
      schema: {
        summary: 'Create a shipment',
        description:
          'Idempotent by carrier and tracking number: the same document sent again answers 201 with `Idempotent-Replayed: true`, another one 422. An Idempotency-Key is not needed.',
        tags,
        querystring: noQuery,
        body: shipmentBody,
        response: { 201: answerSchema(shipmentSchema, 'The shipment, created now or before.') },
      },
      config: {
        scope: 'shipments:write',
        problems: [
          'shipment_key_reused',
          'shipment_refused',
          'occurred_at_in_future',
          'amount_too_large',
          'body_too_large',
          'unsupported_media_type',
        ],
      },
    },
    async (request, reply) => {
      const { shipment, replayed } = await app.shipments.createShipment({
        shipment: request.body,
        actor: request.caller.actor,
      });
      const now = app.clock.now();
      void reply.code(201).headers({ location: shipmentUrl(shipment), etag: shipmentTag(shipment, now) });
      if (replayed) void reply.header('idempotent-replayed', 'true');
      return plain(reply)
        .type(jsonMediaType)
        .send(shipmentJson(shipment, attentionNow(shipment, now)));
    },
  );
}

function addEvent(routes: Routes, { app }: HttpDeps): void {
  routes.post(
    '/shipments/:carrier/:tracking_number/events',
    {
      schema: {
        summary: 'Report an event',
        description:
          'The newest event by (occurred_at, seq) decides the status, in whatever order they arrive; delivered stays delivered until a return or a pick-up begins. An event is known by its instant and its code: sent again, with occurred_at, it changes nothing and answers 201 with `Idempotent-Replayed: true`.',
        tags,
        querystring: noQuery,
        params: shipmentParams,
        body: eventBody,
        response: { 201: answerSchema(recordedEventSchema, 'Recorded, now or before.') },
      },
      config: {
        scope: 'shipments:write',
        problems: [
          'shipment_not_found',
          'occurred_at_in_future',
          'event_refused',
          'body_too_large',
          'unsupported_media_type',
        ],
      },
    },
    async (request, reply) => {
      const recorded = await app.shipments.recordEvent({
        key: request.params,
        event: request.body,
        actor: request.caller.actor,
      });
      const now = app.clock.now();
      void reply.code(201).header('etag', shipmentTag(recorded.shipment, now));
      if (recorded.outcome === 'replayed') void reply.header('idempotent-replayed', 'true');
      const json = recordedEventJson(recorded, attentionNow(recorded.shipment, now));
      return plain(reply).type(jsonMediaType).send(json);
    },
  );
}
