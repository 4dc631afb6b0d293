import type { FastifyReply } from 'fastify';
import type { Instant } from '../core/time.ts';
import type { Shipment, ShipmentDetail } from '../domains/shipments/shipment.ts';
import { type Attention, attentionOf, defaultSilentMs } from '../domains/shipments/shipment-attention.ts';
import { isKnownTag } from './etag.ts';
import { jsonMediaType } from './order-representation.ts';
import { shipmentJson } from './shipment-representation.ts';
import { trackJson } from './track-representation.ts';
import { writeOnce } from './write-once.ts';

const separator = ',';
const fullText = writeOnce<ShipmentDetail>((shipment, attention) =>
  shipmentJson(shipment, attention === '' ? [] : (attention.split(separator) as Attention[])),
);
const publicText = writeOnce<ShipmentDetail>(trackJson);

/** Why somebody should look at a shipment now. */
export const attentionNow = (shipment: Shipment, now: Instant): Attention[] =>
  attentionOf(shipment, { now, silentMs: defaultSilentMs });

const tagOf = ({ version }: Shipment, attention: readonly Attention[]): string =>
  attention.length === 0 ? `"v${version}"` : `"v${version}-${attention.join('-')}"`;

/** The entity tag of a shipment's document: its version, and what needs attention by now, for time alone changes that. */
export const shipmentTag = (shipment: Shipment, now: Instant): string => tagOf(shipment, attentionNow(shipment, now));

/** Answers with a shipment, or 304 where the client has it. A 304 makes no text. */
export function answerShipment(
  reply: FastifyReply,
  { shipment, now, ifNoneMatch }: { shipment: ShipmentDetail; now: Instant; ifNoneMatch: string | undefined },
): FastifyReply {
  const attention = attentionNow(shipment, now);
  const tag = tagOf(shipment, attention);
  void reply.header('etag', tag).header('cache-control', 'private, no-cache');
  if (isKnownTag(ifNoneMatch, tag)) return reply.code(304).send();
  return reply.type(jsonMediaType).send(fullText(shipment, attention.join(separator)));
}

/** How long anybody between here and the reader may show a public answer without asking again. */
const publicMaxAgeSeconds = 10;

/** Answers with what is public of a shipment, or 304. */
export function answerTracking(
  reply: FastifyReply,
  shipment: ShipmentDetail,
  ifNoneMatch: string | undefined,
): FastifyReply {
  const tag = `"t${shipment.version}"`;
  void reply.header('etag', tag).header('cache-control', `public, max-age=${publicMaxAgeSeconds}`);
  if (isKnownTag(ifNoneMatch, tag)) return reply.code(304).send();
  return reply.type(jsonMediaType).send(publicText(shipment, ''));
}
