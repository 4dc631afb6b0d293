import { hash } from 'node:crypto';
import { httpError } from './failure.ts';

const version = 1;
const queryBytes = 8;
const headBytes = 1 + queryBytes;

/**
 * A place in a list as opaque text, for lists whose places are no order ids: where the page ended, and a fingerprint of the
 * query it belongs to.
 * @param query what the place depends on, always written in the same way
 */
export const encodePlace = (place: string, query: string): string =>
  Buffer.concat([Buffer.of(version), fingerprint(query), Buffer.from(place)]).toString('base64url');

/**
 * @param isPlace whether a text can be a place of this list
 * @throws DomainError `cursor_malformed`, or `cursor_mismatch` when it was made by another query
 */
export function decodePlace(cursor: string, query: string, isPlace: (text: string) => boolean): string {
  const bytes = Buffer.from(cursor, 'base64url');
  const place = bytes.toString('utf8', headBytes);
  if (bytes[0] !== version || bytes.toString('base64url') !== cursor || bytes.length < headBytes || !isPlace(place)) {
    throw httpError('cursor_malformed', 'This is not a cursor of this server.');
  }
  if (!bytes.subarray(1, headBytes).equals(fingerprint(query))) {
    throw httpError('cursor_mismatch', 'This cursor belongs to a query with other filters or another direction.');
  }
  return place;
}

const fingerprint = (query: string): Buffer => hash('sha256', query, 'buffer').subarray(0, queryBytes);
