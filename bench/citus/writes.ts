import { runCommand } from '../harness/command.ts';
import { load, type Posted } from '../harness/load.ts';
import { upload } from '../harness/upload.ts';
import { measureJob } from '../jobs/runs.ts';
import { bodyOf, sendBulk } from '../orders/bulk.ts';
import { someOrders } from '../orders/orders-bench.ts';
import { nextOrder } from '../orders/single.ts';
import { pathOf, shipmentMaker } from '../shipments/population.ts';
import { untilRolledUp } from '../usage/database.ts';
import { makeUploads } from '../usage/records.ts';
import { hotKeys } from '../usage/scale.ts';
import type { Place } from './places.ts';
import { subscriptionOf } from './reads.ts';
import type { CitusScale } from './scale.ts';
import type { Measured } from './workloads.ts';

const connections = 64;
const unit = `requests/s from ${connections} connections`;
const goal = '>= 0.25 of one PostgreSQL';
const bulkGoal = '>= 0.3 of one PostgreSQL';

/** Single POSTs, each of a new document. */
const posts =
  ({ url }: Place, post: () => Posted) =>
  async (seconds: number): Promise<number> =>
    (await load({ url, connections, seconds, post })).perSecond;

/** Numbers that no other request of this process had. */
let sent = 0;

/** The orders of a bulk request of keys of their own: the same for every place in turn would be replays nowhere, but not alike. */
const someBody = (count: number, { isPending = false } = {}) => {
  const lot = 100_000 + sent++;
  const orders = someOrders(count, lot);
  return bodyOf(isPending ? orders.map((order) => ({ ...order, statuses: null })) : orders);
};

/** Two statuses of each of these orders, as the carrier of a shop would report them: paid, later refunded. */
function statusesOf(orderIds: readonly string[]): () => Posted {
  let next = 0;
  return () => {
    const orderId = orderIds[next % orderIds.length];
    const pass = Math.floor(next++ / orderIds.length);
    if (orderId === undefined || pass > 1) throw new Error('there are too few pending orders for this rate');
    const body = pass === 0 ? { status: 'complete' } : { status: 'cancelled', reason: 'customer_return' };
    return { path: `/api/v1/orders/${orderId}/status`, body: JSON.stringify(body) };
  };
}

/** Makes pending orders. @returns their ids */
async function pendingOrders({ url }: Place, count: number): Promise<string[]> {
  const { outcomes } = await upload({
    url: `${url}/api/v1/orders/bulk?report=all`,
    type: 'application/x-ndjson',
    body: someBody(count, { isPending: true }),
  });
  return outcomes.flatMap((line) => {
    const { order_id: orderId } = JSON.parse(line) as { readonly order_id?: string };
    return orderId === undefined ? [] : [orderId];
  });
}

const scanOf = (shipments: number): (() => Posted) => {
  const make = shipmentMaker(shipments);
  return () => {
    const n = sent++;
    return {
      path: `${pathOf(make(1 + ((n * 7) % shipments)).shipment)}/events`,
      body: JSON.stringify({
        ...{ code: 'in_transit', city: 'Leipzig', country: 'DE' },
        description: `scan ${n} of ${process.pid}`,
      }),
    };
  };
};

const recordOf = (scale: CitusScale) => (): Posted => {
  const n = sent++;
  const record = {
    ...{ record_id: `s${process.pid}-${n}`, subscription_id: subscriptionOf(n * 7, scale), usage_type: 'data' },
    ...{ used_at: new Date(Date.now() - 60_000).toISOString(), used: 1_024, price: '0.05' },
  };
  return { path: '/api/v1/usage/records', body: JSON.stringify(record) };
};

/** Writes of the other benches. */
export const writes = (scale: CitusScale): readonly Measured[] => [
  { name: 'order_create', unit, goal, prepare: async (place) => posts(place, nextOrder) },
  {
    name: 'order_status',
    unit,
    goal,
    prepare: async (place) => posts(place, statusesOf(await pendingOrders(place, scale.pendingOrders))),
  },
  { name: 'shipment_event', unit, goal, prepare: async (place) => posts(place, scanOf(scale.shipments)) },
  {
    name: 'orders_bulk',
    unit: `orders/s, NDJSON with order numbers`,
    goal: bulkGoal,
    prepare: async (place) => async () => {
      const { seconds } = await sendBulk(place.url, someBody(scale.bulkOrders), scale.bulkOrders);
      return scale.bulkOrders / seconds;
    },
  },
  {
    name: 'ticket_rotation',
    unit: 'tickets/s, from claim to proof',
    isCold: true,
    prepare: async (place) => () => rotate(place),
  },
  {
    name: 'usage_record',
    unit,
    goal,
    prepare: async (place) => {
      const write = posts(place, recordOf(scale));
      return async (seconds) => {
        const rate = await write(seconds);
        await untilRolledUp(place.databaseUrl);
        return rate;
      };
    },
  },
  {
    name: 'usage_bulk',
    unit: 'records/s, NDJSON',
    goal: bulkGoal,
    prepare: async (place) => usageBulk(place, scale.bulkRecords),
  },
];

/** Nothing is left of the rotation before. @returns tickets a second */
async function rotate({ env }: Place): Promise<number> {
  await runCommand(['tickets', 'purge-tokens', '--json'], env);
  const { rows, seconds } = await measureJob(
    ['tickets', 'rotate', '--reason', 'bench', '--keep-days', '0', '--yes'],
    env,
  );
  return rows / seconds;
}

/** The rollup of what one place was sent falls on nobody else. */
function usageBulk({ url, databaseUrl }: Place, rows: number): () => Promise<number> {
  const [body] = makeUploads({ keys: hotKeys, rows, rowsEach: rows, seed: sent++, format: 'ndjson' });
  if (body === undefined) throw new Error('there is nothing to send');
  let pass = 0;
  return async () => {
    body.number(pass++);
    const to = `${url}/api/v1/usage/records/bulk`;
    const { seconds, summary } = await upload({ url: to, type: 'application/x-ndjson', body: [body.bytes] });
    if (summary['accepted'] !== rows) throw new Error(`${to}: ${JSON.stringify(summary)}`);
    await untilRolledUp(databaseUrl);
    return rows / seconds;
  };
}
