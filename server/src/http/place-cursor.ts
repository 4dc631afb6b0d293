import { hash } from 'node:crypto';
import { httpError } from './failure.ts';

const queryBytes = 8;
const headBytes = 1 + queryBytes;

/**
 * A place in a list as opaque text: a byte that says what kind of place it is, a fingerprint of the query it belongs to, and
 * the place.
 * @param kind 0 to 255; another meaning of what follows must have another one
 * @param query what the place depends on, always written in the same way
 */
export const sealPlace = (kind: number, place: Uint8Array, query: string): string =>
  Buffer.concat([Buffer.of(kind), fingerprint(query), place]).toString('base64url');

/**
 * @param read makes the place of its kind and its bytes; null when they are none
 * @throws DomainError `cursor_malformed`, or `cursor_mismatch` when it was made by another query
 */
export function openPlace<Place>(
  cursor: string,
  query: string,
  read: (kind: number, place: Buffer) => Place | null,
): Place {
  const bytes = Buffer.from(cursor, 'base64url');
  const [kind] = bytes;
  const isWhole = bytes.length >= headBytes && bytes.toString('base64url') === cursor;
  const place = isWhole && kind !== undefined ? read(kind, bytes.subarray(headBytes)) : null;
  if (place === null) throw httpError('cursor_malformed', 'This is not a cursor of this server.');
  if (!bytes.subarray(1, headBytes).equals(fingerprint(query))) {
    throw httpError('cursor_mismatch', 'This cursor belongs to a query with other filters or another direction.');
  }
  return place;
}

const textKind = 1;

/** A place that is a text, of lists whose places are no order ids. @param query as for `sealPlace` */
export const encodePlace = (place: string, query: string): string => sealPlace(textKind, Buffer.from(place), query);

/**
 * @param isPlace whether a text can be a place of this list
 * @throws DomainError as `openPlace` does
 */
export const decodePlace = (cursor: string, query: string, isPlace: (text: string) => boolean): string =>
  openPlace(cursor, query, (kind, place) => {
    const text = place.toString('utf8');
    return kind === textKind && isPlace(text) ? text : null;
  });

const fingerprint = (query: string): Buffer => hash('sha256', query, 'buffer').subarray(0, queryBytes);
