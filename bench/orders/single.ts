import { load, type Posted } from '../harness/load.ts';
import { startServer } from '../harness/processes.ts';
import { against, alone, type Figures } from '../report.ts';
import type { OrdersScale } from './scale.ts';

const connections = 64;

let sent = 0;
/** A new order of a number of its own. */
export const nextOrder = (): Posted => ({
  path: '/api/v1/orders',
  body: JSON.stringify({
    customer_id: `CUST${sent % 5_000}`,
    order_number: `S${process.pid}-${sent++}`,
    items: [
      { sku: 'SHOE001', quantity: 1, unit_price: 2999 },
      { sku: 'BAG002', quantity: 2, unit_price: 1999 },
    ],
  }),
});

/** Single POSTs with group commit, against the same server without it at the best pool size tried. */
export async function singleFigures(
  dataDir: string,
  scale: OrdersScale,
  log: (line: string) => void,
): Promise<Figures> {
  const seconds = scale.loadSeconds;
  let best = { perSecond: 0, poolSize: 0 };
  for (const poolSize of scale.poolSizes) {
    await using server = await startServer(dataDir, {
      MILLIARD_GROUP_COMMIT: 'off',
      MILLIARD_POOL_SIZE: String(poolSize),
    });
    const { perSecond } = await load({ url: server.url, connections, seconds, post: nextOrder });
    log(`  group commit off, ${poolSize} connections: ${perSecond.toFixed(0)} orders/s`);
    if (perSecond > best.perSecond) best = { perSecond, poolSize };
  }
  await using server = await startServer(dataDir);
  const { perSecond, p99Ms } = await load({ url: server.url, connections, seconds, post: nextOrder });
  return {
    single: against(perSecond, best.perSecond, {
      unit: `orders/s (baseline: off, pool of ${best.poolSize})`,
      goal: '>= 2.5 times',
    }),
    single_p99: alone(p99Ms, { unit: 'ms' }),
  };
}
