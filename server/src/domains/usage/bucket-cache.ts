import { bucketOf } from '../../core/bucket.ts';

/** Buckets of subscriptions by the bytes of their ids: SHA-256 costs more than all else that is done with a record. */
export interface BucketCache {
  /** @param hash of the bytes, any that is the same for the same bytes */
  bucketOf(bytes: Uint8Array, place: { readonly from: number; readonly end: number }, hash: number): number;
}

const slotBytes = 32;
const maxKeyBytes = slotBytes - 3;

/**
 * One place a hash, the last one wins; nothing is allocated for a hit. Untouched pages cost no memory.
 * @param slots a power of two
 */
export function createBucketCache(slots = 2 ** 19): BucketCache {
  const table = new Uint8Array(slots * slotBytes);
  return {
    bucketOf(bytes, { from, end }, hash) {
      const length = end - from;
      if (length > maxKeyBytes) return bucketOf(textOf(bytes, from, end));
      const slot = (hash & (slots - 1)) * slotBytes;
      if (table[slot] === length && isSame(table, slot + 3, { bytes, from, length }))
        return ((table[slot + 1] ?? 0) << 8) | (table[slot + 2] ?? 0);
      const bucket = bucketOf(textOf(bytes, from, end));
      table[slot] = length;
      table[slot + 1] = bucket >> 8;
      table[slot + 2] = bucket & 255;
      for (let i = 0; i < length; i++) table[slot + 3 + i] = bytes[from + i] ?? 0;
      return bucket;
    },
  };
}

const textOf = (bytes: Uint8Array, from: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('utf8');

function isSame(
  table: Uint8Array,
  at: number,
  { bytes, from, length }: { readonly bytes: Uint8Array; readonly from: number; readonly length: number },
): boolean {
  for (let i = 0; i < length; i++) if (table[at + i] !== bytes[from + i]) return false;
  return true;
}

/** FNV-1a of a stretch of bytes: 32 bits, signed. */
export function hashOf(bytes: Uint8Array, from: number, end: number): number {
  let hash = -2_128_831_035;
  for (let at = from; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 16_777_619);
  return hash ^ (hash >>> 15);
}
