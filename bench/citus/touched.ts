import { type Day, dayOf } from '../../server/src/core/days.ts';
import { type OrderId, parseOrderId } from '../../server/src/core/ids.ts';
import type { Currency } from '../../server/src/core/money.ts';
import { silentLogger } from '../../server/src/core/ports.ts';
import { dayMs, type Instant, systemClock } from '../../server/src/core/time.ts';
import { createOrders, type Orders } from '../../server/src/domains/orders/orders-service.ts';
import { createShipments, type Shipments } from '../../server/src/domains/shipments/shipments-service.ts';
import { createTickets, type Tickets } from '../../server/src/domains/tickets/tickets-service.ts';
import type { Decimal } from '../../server/src/domains/usage/usage.ts';
import { openUsage, type Usage } from '../../server/src/domains/usage/usage-service.ts';
import { openCustomerHomes } from '../../server/src/storage/customer-homes.ts';
import { listMonths } from '../../server/src/storage/partitions.ts';
import { type RecordingDatabase, recordStatements } from '../../server/src/testing/explained-statements.ts';
import { someTokens } from '../jobs/verify.ts';
import { type FoundOrder, findOrders, getJson, type OrderPage } from '../orders/reads.ts';
import { alone, type Figures } from '../report.ts';
import { shipmentMaker } from '../shipments/population.ts';
import { touchedBy } from './explained.ts';
import type { Place } from './places.ts';
import { limitOf, overLimitCount, subscriptionOf } from './reads.ts';
import type { CitusScale } from './scale.ts';

interface Domains {
  readonly orders: Orders;
  readonly tickets: Tickets;
  readonly shipments: Shipments;
  readonly usage: Usage;
}

/** What is asked for, of one place. */
interface Known {
  readonly orderId: OrderId;
  readonly customerId: string;
  readonly orderNumber: string;
  readonly token: string;
  readonly limit: Decimal;
  readonly scale: CitusScale;
}

const page = { direction: 'newest', limit: 50, after: null } as const;
const anyOrder = { statuses: [], customerId: null, orderNumber: null, placedFrom: null, placedTo: null };
const monthDays = { from: (dayOf(systemClock.now()) - 29) as Day, to: dayOf(systemClock.now()) };
const monthAgo = (systemClock.now() - 30 * dayMs) as Instant;
const placedThisMonth = { placedFrom: monthAgo, placedTo: systemClock.now() };
const now = { fresh: false, waitFor: null };

type Query = (domains: Domains, known: Known) => Promise<unknown>;

/** One row, or the rows of one customer, whatever else there is. */
const byKey: Readonly<Record<string, Query>> = {
  order_by_id: ({ orders }, { orderId }) => orders.getOrder(orderId),
  order_by_number: ({ orders }, { customerId, orderNumber }) =>
    orders.listOrders({ filter: { ...anyOrder, customerId, orderNumber }, ...page }),
  order_history: ({ orders }, { orderId }) => orders.getHistory(orderId),
  customer_page: ({ orders }, { customerId }) => orders.listOrders({ filter: { ...anyOrder, customerId }, ...page }),
  shipment: ({ shipments }, { scale }) => shipments.getShipment(shipmentMaker(scale.shipments)(7).shipment),
  ticket_verify: ({ tickets }, { token }) => tickets.verifyToken(token),
  usage_one: ({ usage }, { scale }) => {
    const selection = { days: monthDays, usageType: null, subscriptionId: subscriptionOf(7, scale) };
    return usage.metrics({ selection, byDay: true, ...now }, { after: null, limit: 50 });
  },
};

/** Rows of all customers. */
const byScan: Readonly<Record<string, Query>> = {
  cancelled_page: ({ orders }) => orders.listOrders({ filter: { ...anyOrder, statuses: ['cancelled'] }, ...page }),
  orders_of_month: ({ orders }) =>
    orders.readHistogram({ statuses: [], customerId: null, interval: 'day', ...placedThisMonth }),
  over_limit: ({ usage }, { limit }) => {
    const selection = { days: null, usageType: 'data', subscriptionId: null };
    return usage.overLimit({ selection, priceLimit: limit, ...now }, { after: null, limit: 200 });
  },
  usage_of_month: ({ usage }) => {
    const selection = { days: monthDays, usageType: null, subscriptionId: null };
    return usage.metrics({ selection, byDay: false, ...now }, { after: null, limit: 500 });
  },
};

interface Load {
  readonly tasks: number;
  /** Of the node that read most. */
  readonly rows: number;
}

/**
 * Tasks and rows of a query on clusters of more and more workers: as many for a key whatever the number of nodes; of a scan each
 * node reads its share. The measure of scaling where all nodes share two processors.
 */
export async function touchedFigures(clusters: readonly Place[], scale: CitusScale): Promise<Figures> {
  const [wanted] = await findOrders(clusters[0]?.url ?? '', 1);
  if (wanted === undefined) throw new Error('there are no orders');
  const loads: Record<string, Load>[] = [];
  for (const place of clusters) loads.push(await loadsOf(place, await knownOf(place, wanted, scale)));
  const workers = clusters.map((place) => place.workers).join(', ');
  const figureOf = (name: string, goal: string): Figures => {
    const each = loads.map((load) => load[name] ?? { tasks: Number.NaN, rows: Number.NaN });
    const busiest = each.map(({ rows }) => rows).join(', ');
    const tasks = each.map((load) => load.tasks).join(', ');
    const most = each.at(-1)?.rows ?? Number.NaN;
    const unit = `rows read at the busiest node: ${busiest} with ${workers} workers; tasks: ${tasks}`;
    const first = each[0]?.rows ?? Number.NaN;
    return {
      [`touched_${name}`]: {
        ...alone(most, { unit, goal }),
        baseline: first,
        ratio: Number((most / first).toPrecision(3)),
      },
    };
  };
  return Object.assign(
    {},
    ...Object.keys(byKey).map((name) => figureOf(name, '1 task; as many rows with every number of nodes')),
    ...Object.keys(byScan).map((name) => figureOf(name, `a task a shard; 1/nodes of the rows`)),
  );
}

async function loadsOf(place: Place, known: Known): Promise<Record<string, Load>> {
  return withDomains(place, async (domains, { statementsOf }) => {
    const loads: Record<string, Load> = {};
    for (const [name, query] of Object.entries({ ...byKey, ...byScan })) {
      const rows = new Map<string, number>();
      let tasks = 0;
      for (const statement of await statementsOf(() => query(domains, known))) {
        const touched = await touchedBy(place.db, statement);
        // Those of reference tables and of the coordinator's own are asked nowhere else.
        tasks = Math.max(tasks, touched.tasks);
        for (const [node, count] of touched.rows) rows.set(node, (rows.get(node) ?? 0) + count);
      }
      loads[name] = { tasks, rows: Math.max(0, ...rows.values()) };
    }
    return loads;
  });
}

/** The same order everywhere: ids are drawn by lot, numbers are not. */
async function knownOf(
  place: Place,
  { customer_id: customerId, order_number }: FoundOrder,
  scale: CitusScale,
): Promise<Known> {
  const orderNumber = order_number ?? '';
  const path = `/api/v1/orders?customer_id=${customerId}&order_number=${orderNumber}`;
  const [order] = (await getJson<OrderPage>(place.url + path)).items;
  const [token] = await someTokens(place.db);
  const orderId = order === undefined ? null : parseOrderId(order.order_id);
  if (order === undefined || orderId === null || token === undefined) throw new Error(`${place.url} is empty`);
  const limit = (await limitOf(place, overLimitCount)) as Decimal;
  return { orderId, customerId, orderNumber, token, limit, scale };
}

/** The domains as a server has them, on a client that remembers what they ask. */
async function withDomains<T>(
  { db: asked, databaseUrl: url }: Place,
  work: (domains: Domains, recording: RecordingDatabase) => Promise<T>,
): Promise<T> {
  const recording = recordStatements(asked);
  const { db } = recording;
  const connection = { url, applicationName: 'bench', statementTimeoutMs: 0, connectTimeoutMs: 5_000 };
  const homes = await openCustomerHomes({
    ...{ connection, isCitus: true, version: 'bench', logger: silentLogger, isServer: false },
  });
  const months = await listMonths(asked);
  const common = { db, clock: systemClock, defaultCurrency: 'EUR' as Currency, groupCommit: true };
  const usage = await openUsage({ ...common, logger: silentLogger, rawDays: 14, rollupPauseMs: 60_000, isCitus: true });
  const orders = createOrders({ ...common, ...homes, months: () => months });
  const domains = { orders, usage, tickets: createTickets(common), shipments: createShipments(common) };
  try {
    return await work(domains, recording);
  } finally {
    await Promise.all(Object.values(domains).map((domain) => domain.drain()));
    await homes.close();
  }
}
