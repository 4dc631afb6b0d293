import { addedTo, ordersOfNodes, skewOf } from '../../server/src/testing/node-rows.ts';
import { runCommand } from '../harness/command.ts';
import { alone, type Figures } from '../report.ts';
import { generateOrders, type Place } from './places.ts';
import { type CitusScale, zipf } from './scale.ts';

const salted = 5;
const ways = 8;

/**
 * How unevenly the orders of some very large customers lie on the nodes, and those of the same customers that come after the five
 * largest were salted. (What is stored stays where it is.)
 */
export async function skewFigures({ db, env }: Place, scale: CitusScale): Promise<Figures> {
  const orders = scale.orders / 2;
  const lot = async (seed: number) => {
    const before = await ordersOfNodes(db);
    await generateOrders(env, { orders, seed });
    return addedTo(before, await ordersOfNodes(db));
  };
  const before = await lot(21);
  for (let rank = 1; rank <= salted; rank++)
    await runCommand(
      ['cluster', 'salt', `CUST${String(rank).padStart(6, '0')}`, '--ways', String(ways), '--json'],
      env,
    );
  const after = await lot(22);
  const told = (each: ReadonlyMap<string, number>): string =>
    `max/mean of ${orders.toLocaleString('en')} new orders by Zipf's law (${zipf}) on ${each.size} workers: ${[...each.values()].join(', ')}`;
  return {
    skew_before: alone(skewOf(before.values()), { unit: told(before) }),
    skew_after: alone(skewOf(after.values()), { unit: `${told(after)}; the ${salted} largest salted ${ways} ways` }),
  };
}
