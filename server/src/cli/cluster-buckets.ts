import { bucketCount } from '../core/bucket.ts';
import { bucketsOfCustomer } from '../core/customer-layout.ts';
import type { Salting } from '../storage/salting/salting.ts';
import { UsageError } from './stopped.ts';
import { values } from './values.ts';

/** All buckets in which orders of the customer stand. @throws UsageError */
export async function bucketsOf(salting: Salting, customerId: string): Promise<readonly number[]> {
  if (customerId === '' || customerId.length > 200 || !customerId.isWellFormed())
    throw new UsageError('The customer must have 1 to 200 characters.');
  const salted = (await salting.list()).find((customer) => customer.customerId === customerId);
  return bucketsOfCustomer(
    customerId,
    (salted?.ways ?? [1]).map((ways) => ({ ways })),
  );
}

export const readBucket = (text: string): number => values.integer('--bucket', text, [0, bucketCount - 1]);
