import { afterAll, beforeAll, expect, test } from 'vitest';
import { addedTo, ordersOfNodes, skewOf } from '../testing/node-rows.ts';
import { type ServedCluster, serveCluster } from '../testing/test-cluster.ts';

// Three workers with as many shards as in production; customers whose orders follow Zipf's law with exponent 1.1.
const orders = 12_000;
const customers = 2_000;
const largest = Array.from({ length: 5 }, (_, rank) => `CUST${String(rank + 1).padStart(6, '0')}`);

let served: ServedCluster;
beforeAll(async () => {
  served = await serveCluster({ workers: 3, shards: 16 });
});
afterAll(() => served?.close());

async function run(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await served.run(...args, '--json');
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
}

/** Generates orders of the same customers. @returns how many of them each worker got */
async function lot(seed: number): Promise<readonly number[]> {
  const before = await ordersOfNodes(served.db);
  await run(
    ...['orders', 'generate', '--count', String(orders), '--customers', String(customers)],
    ...['--zipf', '1.1', '--seed', String(seed)],
  );
  return [...addedTo(before, await ordersOfNodes(served.db)).values()];
}

test('orders of a few very large customers lie evenly on the workers once the five largest are salted', async () => {
  const before = await lot(1);
  for (const customer of largest) await run('cluster', 'salt', customer, '--ways', '8');
  const after = await lot(2);
  const skew = { before: skewOf(before), after: skewOf(after) };
  console.log(`orders of each of three workers: ${JSON.stringify({ before, after, skew })}`);
  for (const each of [before, after]) expect(each.reduce((sum, count) => sum + count, 0)).toBe(orders);
  expect(before).toHaveLength(3);
  // 16 shards on three workers are six on one and five on the others: even rows of even shards are 1.125 times the mean there.
  expect(skew.after).toBeLessThan(1.2);
  expect(skew.after).toBeLessThan(skew.before);
});
