import { randomFillSync } from 'node:crypto';
import { validate as isUuid } from 'uuid';
import type { Bucket } from './bucket.ts';
import type { Instant } from './time.ts';

/** A UUID version 7: 48 bits of `placed_at` in milliseconds, 12 bits of bucket in rand_a, 62 random bits. Lower case. */
export type OrderId = string & { readonly __brand: 'OrderId' };

/** The same form: 48 bits of `created_at` in milliseconds and the 12 bits of the bucket of the holder. */
export type TicketId = string & { readonly __brand: 'TicketId' };

/** The same form: 48 bits of `created_at` in milliseconds and the 12 bits of the bucket of carrier and tracking number. */
export type ShipmentId = string & { readonly __brand: 'ShipmentId' };

/**
 * A ticket's secret: a UUID version 4 whose 12 bits at rand_a are the ticket's bucket, so that 110 random bits remain. The
 * database makes it, `new_ticket_token(bucket)`. Whoever has it has the ticket: it belongs in no log, error, metric or URL. Lower case.
 */
export type TicketToken = string & { readonly __brand: 'TicketToken' };

const lastTimestampMs = 2 ** 48 - 1;

/** Fills a buffer with random bytes; replaceable in tests. */
export type RandomBytes = (target: Uint8Array) => void;

// One call of the operating system's generator serves 512 ids: a call each costs more than the rest of the id.
const pool = new Uint8Array(8 * 512);
let poolUsed = pool.length;
const pooledRandomBytes: RandomBytes = (target) => {
  if (poolUsed + target.length > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  target.set(pool.subarray(poolUsed, poolUsed + target.length));
  pool.fill(0, poolUsed, poolUsed + target.length);
  poolUsed += target.length;
};

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const hexOf = (byte: number | undefined): string => hexPairs[byte ?? 0] ?? '00';

/** A UUID version 7 of 12 hexadecimal digits of time, the bucket and 8 bytes, of which 2 bits become the variant. */
function uuidFrom(time: string, bucket: Bucket, tail: Uint8Array): string {
  const randA = bucket.toString(16).padStart(3, '0');
  const variant = hexOf(((tail[0] ?? 0) & 0x3f) | 0x80);
  let node = '';
  for (let i = 2; i < 8; i++) node += hexOf(tail[i]);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randA}-${variant}${hexOf(tail[1])}-${node}`;
}

function timedId(at: Instant, bucket: Bucket, random: RandomBytes): string {
  if (!Number.isInteger(at) || at < 0 || at > lastTimestampMs) {
    throw new RangeError(`${at} ms does not fit the 48 time bits of an id.`);
  }
  const tail = new Uint8Array(8);
  random(tail);
  return uuidFrom(at.toString(16).padStart(12, '0'), bucket, tail);
}

/**
 * Makes an order id from which its time and its bucket can be read back.
 * @throws RangeError outside 1970-01-01 .. 10889-08-02, the range of the 48 time bits.
 */
export function newOrderId(placedAt: Instant, bucket: Bucket, random: RandomBytes = pooledRandomBytes): OrderId {
  return timedId(placedAt, bucket, random) as OrderId;
}

/** Makes a ticket id from which its time and its bucket can be read back. @throws RangeError as `newOrderId` */
export function newTicketId(createdAt: Instant, bucket: Bucket, random: RandomBytes = pooledRandomBytes): TicketId {
  return timedId(createdAt, bucket, random) as TicketId;
}

/** Makes a shipment id from which its time and its bucket can be read back. @throws RangeError as `newOrderId` */
export function newShipmentId(createdAt: Instant, bucket: Bucket, random: RandomBytes = pooledRandomBytes): ShipmentId {
  return timedId(createdAt, bucket, random) as ShipmentId;
}

/** The lowest id any order placed at or after this instant can have: the bound of a time range, a partition or a cursor. */
export function lowestIdAt(at: Instant): OrderId {
  const clamped = Math.min(Math.max(at, 0), lastTimestampMs);
  const time = clamped.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000` as OrderId;
}

/** The bucket written into the id or the token. */
export const bucketOfId = (id: OrderId | TicketId | TicketToken | ShipmentId): Bucket =>
  Number.parseInt(id.slice(15, 18), 16) as Bucket;

/** `placed_at` or `created_at` in milliseconds, read from the id. */
export const timeOfId = (id: OrderId | TicketId | ShipmentId): Instant =>
  Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) as Instant;

/** The text as an order id in lower case, or null when it is not a version 7 UUID. */
export function parseOrderId(text: string): OrderId | null {
  return isUuid(text) && text[14] === '7' ? (text.toLowerCase() as OrderId) : null;
}

/** The text as a ticket id in lower case, or null when it is not a version 7 UUID. */
export const parseTicketId = (text: string): TicketId | null => parseOrderId(text) as TicketId | null;

/** The text as a shipment id in lower case, or null when it is not a version 7 UUID. */
export const parseShipmentId = (text: string): ShipmentId | null => parseOrderId(text) as ShipmentId | null;

/** The text as a token in lower case, or null when it cannot be one: tokens are version 4 UUIDs. */
export function parseTicketToken(text: string): TicketToken | null {
  return isUuid(text) && text[14] === '4' ? (text.toLowerCase() as TicketToken) : null;
}

/** The lowest and the highest of these, which must not be none. */
export function idBounds(ids: readonly OrderId[]): [lowest: OrderId, highest: OrderId] {
  const [first] = ids;
  if (first === undefined) throw new RangeError('No ids have no bounds.');
  return ids.reduce<[OrderId, OrderId]>(
    ([lowest, highest], id) => [id < lowest ? id : lowest, id > highest ? id : highest],
    [first, first],
  );
}
