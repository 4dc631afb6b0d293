import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { DomainError } from '../../core/errors.ts';
import type { ShipmentErrorCode } from '../../domains/shipments/shipment.ts';
import { createClientLimit } from '../client-limit.ts';
import { markFreshness } from '../freshness.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { answerTracking } from '../shipment-answer.ts';
import { keyInPath } from '../shipment-query.ts';
import { trackExample, trackSchema } from '../track-representation.ts';
import { answerSchema } from '../validation.ts';

const name = (example: string) =>
  z.string().meta({
    description: 'In any spelling: case, spaces and hyphens do not count, leading zeros do.',
    'x-examples': [example],
  });

// What cannot be a name is no other answer than what is no shipment, so that the form of a name tells nothing either.
const params = z.strictObject({
  carrier: name(trackExample.carrier),
  tracking_number: name(trackExample.tracking_number),
});

const notFound = () =>
  new DomainError<ShipmentErrorCode>('shipment_not_found', 'There is no shipment of this carrier with this number.');

/**
 * The public tracking: no key, whatever the mode. A wrong carrier, a wrong number and what is none of both get the same answer after
 * the same look-up by the whole key, so that the answer leads nobody nearer to a shipment; how often an address may try is limited.
 * Any page may read it: it gives no page more than it gives whoever types the number.
 */
export async function addTrackRoute(routes: Routes, { app }: HttpDeps): Promise<void> {
  const limit = await createClientLimit(routes, app.config.http.trackRequestsPerMinute);
  routes.addHook('onRequest', (_request, reply, done) => {
    void reply.header('access-control-allow-origin', '*');
    done();
  });
  routes.get(
    '/track/:carrier/:tracking_number',
    {
      onRequest: limit,
      schema: {
        summary: 'Track a parcel',
        description:
          'Needs no key. Where the parcel is, in plain words; nothing about people, prices or orders. Each client address has a number of requests a minute (MILLIARD_TRACK_REQUESTS_PER_MINUTE on each server), then 429 with Retry-After. Pages of any origin may call it, without headers of their own.',
        tags: ['tracking'],
        querystring: z.strictObject({}),
        params,
        response: { 200: answerSchema(trackSchema, 'Where it is.') },
      },
      config: { public: true, problems: ['shipment_not_found', 'rate_limited'] },
    },
    async (request, reply) => {
      const key = keyInPath(request.params.carrier, request.params.tracking_number);
      if (key === null) throw notFound();
      const found = await app.shipments.lookUpShipment(key);
      const shipment = found.value;
      if (shipment === null) throw notFound();
      markFreshness(reply, found);
      // Beside the typed answers: text that is JSON already.
      return answerTracking(reply as unknown as FastifyReply, shipment, request.headers['if-none-match']) as never;
    },
  );
}
