import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { parseShipmentId } from '../../core/ids.ts';
import type { Instant } from '../../core/time.ts';
import { attentionOf } from '../../domains/shipments/shipment-attention.ts';
import { type ListOrder, listOrderOf, type ShipmentPosition } from '../../domains/shipments/shipment-list.ts';
import { shipmentNotFound } from '../../domains/shipments/shipment-read-service.ts';
import { markFreshness } from '../freshness.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { mayBeTorn } from '../may-be-torn.ts';
import { jsonMediaType } from '../order-representation.ts';
import { decodePlace, encodePlace } from '../place-cursor.ts';
import { answerShipment } from '../shipment-answer.ts';
import { boundTo, shipmentCountQuery, shipmentListQuery, shipmentParams, shipmentSearch } from '../shipment-query.ts';
import {
  listedShipmentJson,
  shipmentCountSchema,
  shipmentPageSchema,
  shipmentSchema,
} from '../shipment-representation.ts';
import { answerSchema } from '../validation.ts';

const torn = mayBeTorn('several shipments');
const tags = ['shipments'];

/** A place in a list as text: the id, and where the list goes by time the instant before it. */
const placeText = ({ at, shipmentId }: ShipmentPosition): string => `${at ?? ''}/${shipmentId}`;

/** The place that a text names in a list of this order, or null. */
function placeOf(text: string, order: ListOrder): ShipmentPosition | null {
  const [, at, id = ''] = /^(\d{1,14})?\/(.*)$/.exec(text) ?? [];
  const shipmentId = parseShipmentId(id);
  if (shipmentId === null || (at === undefined) !== (order === 'created')) return null;
  return { shipmentId, at: at === undefined ? null : (Number(at) as Instant) };
}

// Beside the typed answers: text that is JSON already.
const plain = (reply: unknown) => reply as FastifyReply;

/** Reading shipments: one, lists, counts. */
export function addShipmentRoutes(routes: Routes, deps: HttpDeps): void {
  addList(routes, deps);
  addCount(routes, deps);
  addRead(routes, deps);
}

function addList(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/shipments',
    {
      schema: {
        summary: 'List shipments',
        description: `Without articles and events; all filters given count together. In the order of created_at, where a cursor walk skips and repeats nothing that was committed before it began. With updated_from or updated_to by updated_at, earliest first: what changes meanwhile comes again behind. With needs_attention by how long it needs it, longest first. A rare combination of filters may make a page short, even empty, with a \`next\` that goes on. ${torn}`,
        tags,
        querystring: shipmentListQuery,
        response: {
          200: answerSchema(shipmentPageSchema, 'A page, and where the next one is (also in the header Link).'),
        },
      },
      config: { scope: 'shipments:read', problems: ['cursor_malformed', 'cursor_mismatch'] },
    },
    async ({ query }, reply) => {
      const { filter, direction, limit, cursor, silentMs } = query;
      const read = (text: string): ShipmentPosition | null => placeOf(text, listOrderOf(filter));
      const isPlace = (text: string): boolean => read(text) !== null;
      const after = cursor === null ? null : read(decodePlace(cursor, boundTo(query), isPlace));
      const page = await app.shipments.listShipments({ filter, direction, limit, after });
      const now = app.clock.now();
      const nextCursor = page.next === null ? null : encodePlace(placeText(page.next), boundTo(query));
      const next = nextCursor === null ? null : `/api/v1/shipments?${shipmentSearch(query, nextCursor)}`;
      if (next !== null) void reply.header('link', `<${next}>; rel="next"`);
      const items = page.items.map((shipment) =>
        listedShipmentJson(shipment, attentionOf(shipment, { now, silentMs })),
      );
      return plain(reply)
        .type(jsonMediaType)
        .send(
          `{"items":[${items.join(',')}],"next_cursor":${JSON.stringify(nextCursor)},"next":${JSON.stringify(next)}}`,
        );
    },
  );
}

function addCount(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/shipments/count',
    {
      schema: {
        summary: 'Count shipments',
        description: `Exact up to 10,000; beyond it \`at_least\`. ${torn}`,
        tags,
        querystring: shipmentCountQuery,
        response: { 200: answerSchema(shipmentCountSchema, 'How many there are.') },
      },
      config: { scope: 'shipments:read' },
    },
    (request) => app.shipments.countShipments(request.query.filter),
  );
}

function addRead(routes: Routes, { app }: HttpDeps): void {
  routes.get(
    '/shipments/:carrier/:tracking_number',
    {
      schema: {
        summary: 'Read a shipment',
        description:
          'By carrier and tracking number, in any spelling of the two. Send the ETag as If-None-Match to get 304 while nothing changed.',
        tags,
        querystring: z.strictObject({}),
        params: shipmentParams,
        response: { 200: answerSchema(shipmentSchema, 'The shipment.') },
      },
      config: { scope: 'shipments:read', problems: ['shipment_not_found'] },
    },
    async (request, reply) => {
      const found = await app.shipments.lookUpShipment(request.params);
      const shipment = found.value;
      if (shipment === null) throw shipmentNotFound(request.params);
      markFreshness(plain(reply), found);
      const ifNoneMatch = request.headers['if-none-match'];
      return answerShipment(plain(reply), { shipment, now: app.clock.now(), ifNoneMatch });
    },
  );
}
