import { hash } from 'node:crypto';
import { type OrderId, parseOrderId } from '../core/ids.ts';
import type { OrderFilter } from '../domains/orders/order-read-service.ts';
import type { Direction } from '../domains/orders/order-walk.ts';
import { httpError } from './failure.ts';

/** What a cursor is bound to: the page size may change on the way, the rest may not. */
export interface CursorQuery {
  readonly filter: OrderFilter;
  readonly direction: Direction;
}

/** Where a page lies: behind the last row of the page before it, or in front of the first row of the page behind it. */
export type Place = { readonly after: OrderId } | { readonly before: OrderId };

// The first byte; another meaning of what follows would be another number.
const kinds = { after: 1, before: 2 } as const;
const queryBytes = 8;
const length = 1 + queryBytes + 16;

/** A place in a list as opaque text: the row at its edge, and a fingerprint of the query it belongs to. */
export function encodeCursor(place: Place, query: CursorQuery): string {
  const [kind, id] = 'after' in place ? [kinds.after, place.after] : [kinds.before, place.before];
  return Buffer.concat([Buffer.of(kind), fingerprint(query), Buffer.from(id.replaceAll('-', ''), 'hex')]).toString(
    'base64url',
  );
}

/** @throws DomainError `cursor_malformed`, or `cursor_mismatch` when it was made by another query */
export function decodeCursor(text: string, query: CursorQuery): Place {
  const bytes = Buffer.from(text, 'base64url');
  const place = bytes.length === length && bytes.toString('base64url') === text ? placeOf(bytes) : null;
  if (place === null) throw httpError('cursor_malformed', 'This is not a cursor of this server.');
  if (!bytes.subarray(1, 1 + queryBytes).equals(fingerprint(query))) {
    throw httpError('cursor_mismatch', 'This cursor belongs to a query with other filters or another direction.');
  }
  return place;
}

function placeOf(bytes: Buffer): Place | null {
  const id = idOf(bytes);
  if (id === null) return null;
  if (bytes[0] === kinds.after) return { after: id };
  return bytes[0] === kinds.before ? { before: id } : null;
}

function idOf(bytes: Buffer): OrderId | null {
  const hex = bytes.toString('hex', 1 + queryBytes);
  return parseOrderId(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
  );
}

function fingerprint({ filter, direction }: CursorQuery): Buffer {
  const { statuses, customerId, orderNumber, placedFrom, placedTo } = filter;
  const canonical = JSON.stringify([
    [...new Set(statuses)].sort(),
    customerId,
    orderNumber,
    placedFrom,
    placedTo,
    direction,
  ]);
  return hash('sha256', canonical, 'buffer').subarray(0, queryBytes);
}
