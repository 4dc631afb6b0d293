import { parseShipmentId, type ShipmentId } from '../../core/ids.ts';
import { formatInstant, type Instant, parseInstant } from '../../core/time.ts';
import type { Shipment, ShipmentFilter } from './shipment.ts';
import { attentionFrom } from './shipment-attention.ts';

export type Direction = 'newest' | 'oldest';

/**
 * What a list is ordered by, each with the id of the shipment behind it:
 * - created: the id alone, which never changes; newest or oldest first
 * - updated: the last change, earliest first, for those who follow changes
 * - attention: since when it needs attention, longest first
 */
export type ListOrder = 'created' | 'updated' | 'attention';

export const listOrderOf = ({ updatedFrom, updatedTo, needsAttention }: ShipmentFilter): ListOrder => {
  if (updatedFrom !== null || updatedTo !== null) return 'updated';
  return needsAttention === null ? 'created' : 'attention';
};

/** A place in a list, behind one of its rows. */
export interface ShipmentPosition {
  readonly shipmentId: ShipmentId;
  /** The instant by which the list is ordered; null in the order of creation. */
  readonly at: Instant | null;
}

export function positionOf(shipment: Shipment, order: ListOrder): ShipmentPosition {
  const { shipmentId, updatedAt } = shipment;
  if (order === 'created') return { shipmentId, at: null };
  return { shipmentId, at: order === 'updated' ? updatedAt : attentionFrom(shipment) };
}

/** A place as a text, for cursors and flags: the id, with the instant and a slash before it where there is one. */
export const formatPosition = ({ shipmentId, at }: ShipmentPosition): string =>
  at === null ? shipmentId : `${formatInstant(at)}/${shipmentId}`;

/** The place that `formatPosition` wrote; null for what is none in a list of this order. */
export function parsePosition(text: string, order: ListOrder): ShipmentPosition | null {
  const slash = text.indexOf('/');
  const shipmentId = parseShipmentId(text.slice(slash + 1));
  if (shipmentId === null || (slash === -1) !== (order === 'created')) return null;
  if (slash === -1) return { shipmentId, at: null };
  const at = parseInstant(text.slice(0, slash));
  return at === null ? null : { shipmentId, at };
}

/** How a list is walked. */
export interface ShipmentWalk {
  readonly order: ListOrder;
  /** Counts in the order of creation only. */
  readonly direction: Direction;
  readonly after: ShipmentPosition | null;
}
