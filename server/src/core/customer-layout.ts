import { type Bucket, bucketOf } from './bucket.ts';

/** Over how many buckets a customer's rows are spread; `ways` 1 is a customer like any other. */
export interface CustomerLayout {
  readonly ways: number;
}

/** The most ways a customer can have: a list of its orders asks every way, and 64 are four for each of 16 shards. */
export const maxWays = 64;

/** The layout of every customer nobody salted, and the first of every customer. */
export const plainLayout: CustomerLayout = { ways: 1 };

/** The bucket of one way: way 0 is the customer's own, way k that of `customer_id#k`. */
export const bucketOfWay = (customerId: string, way: number): Bucket =>
  bucketOf(way === 0 ? customerId : `${customerId}#${way}`);

/** Which way a key belongs to: the same key always the same way, so that a replay finds it. */
export const wayOfKey = (key: string, layout: CustomerLayout): number =>
  layout.ways === 1 ? 0 : bucketOf(key) % layout.ways;

/** Where a key lives under a layout. */
export const homeOfKey = (customerId: string, key: string, layout: CustomerLayout): Bucket =>
  bucketOfWay(customerId, wayOfKey(key, layout));

/** Every bucket in which rows of the customer may stand under any of its layouts, without repetition. */
export function bucketsOfCustomer(customerId: string, layouts: readonly CustomerLayout[]): Bucket[] {
  const ways = Math.max(1, ...layouts.map((layout) => layout.ways));
  return [...new Set(Array.from({ length: ways }, (_, way) => bucketOfWay(customerId, way)))];
}
