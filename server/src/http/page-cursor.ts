import { type OrderId, parseOrderId } from '../core/ids.ts';
import type { OrderFilter } from '../domains/orders/order-read-service.ts';
import type { Direction } from '../domains/orders/order-walk.ts';
import { openPlace, sealPlace } from './place-cursor.ts';

/** What a cursor is bound to: the page size may change on the way, the rest may not. */
export interface CursorQuery {
  readonly filter: OrderFilter;
  readonly direction: Direction;
}

/** Where a page lies: behind the last row of the page before it, or in front of the first row of the page behind it. */
export type Place = { readonly after: OrderId } | { readonly before: OrderId };

const kinds = { after: 1, before: 2 } as const;

/** A place in a list of orders as opaque text: the row at its edge, and a fingerprint of the query it belongs to. */
export function encodeCursor(place: Place, query: CursorQuery): string {
  const [kind, id] = 'after' in place ? [kinds.after, place.after] : [kinds.before, place.before];
  return sealPlace(kind, Buffer.from(id.replaceAll('-', ''), 'hex'), canonical(query));
}

/** @throws DomainError `cursor_malformed`, or `cursor_mismatch` when it was made by another query */
export const decodeCursor = (text: string, query: CursorQuery): Place => openPlace(text, canonical(query), placeOf);

function placeOf(kind: number, bytes: Buffer): Place | null {
  const id = idOf(bytes);
  if (id === null) return null;
  if (kind === kinds.after) return { after: id };
  return kind === kinds.before ? { before: id } : null;
}

function idOf(bytes: Buffer): OrderId | null {
  const hex = bytes.toString('hex');
  return parseOrderId(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
  );
}

function canonical({ filter, direction }: CursorQuery): string {
  const { statuses, customerId, orderNumber, placedFrom, placedTo } = filter;
  return JSON.stringify([[...new Set(statuses)].sort(), customerId, orderNumber, placedFrom, placedTo, direction]);
}
