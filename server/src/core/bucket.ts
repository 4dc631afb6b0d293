import { hash } from 'node:crypto';

/** A row's home among 4,096 logical shards: an integer 0..4095. Always computed, never looked up (design: one idea). */
export type Bucket = number & { readonly __brand: 'Bucket' };

export const bucketCount = 4096;

/**
 * The first 12 bits of SHA-256 of the UTF-8 text. `bucket_of(text)` in SQL is the same function; a test compares them.
 * @throws RangeError when the text holds a lone surrogate: it has no UTF-8 form, so SQL could not agree.
 */
export function bucketOf(text: string): Bucket {
  if (!text.isWellFormed()) throw new RangeError('A bucket key must be well-formed Unicode.');
  return Number.parseInt(hash('sha256', text, 'hex').slice(0, 3), 16) as Bucket;
}
