import { type Day, dayOf, formatDay } from '../../server/src/core/days.ts';
import { systemClock } from '../../server/src/core/time.ts';
import { type LoadOptions, load } from '../harness/load.ts';
import { paced, percentile } from '../harness/paced.ts';
import { streamed } from '../harness/stream.ts';
import { someTokens, verifications } from '../jobs/verify.ts';
import { type FoundOrder, findOrders } from '../orders/reads.ts';
import { drawPaths } from '../shipments/population.ts';
import type { Place } from './places.ts';
import type { CitusScale } from './scale.ts';
import type { Measured } from './workloads.ts';

const connections = 16;
const points = 40;
const goal = '>= 0.35 of one PostgreSQL';
/** How many subscriptions are over the limit that is asked for. */
export const overLimitCount = 100;

/** Requests a second of as many as are answered. */
const atFull =
  ({ url }: Place, requests: Pick<LoadOptions, 'paths' | 'repeatable' | 'drawn'>) =>
  async (seconds: number): Promise<number> =>
    (await load({ url, connections, seconds, ...requests })).perSecond;

const unit = `requests/s from ${connections} connections`;

const found = new WeakMap<Place, Promise<readonly FoundOrder[]>>();

/** Orders from all over the data of a place, looked for once. */
function ordersOf(place: Place): Promise<readonly FoundOrder[]> {
  const orders = found.get(place) ?? findOrders(place.url, points);
  found.set(place, orders);
  return orders;
}

const ofOrders = (
  name: string,
  pathOf: (order: FoundOrder) => string,
  more: Pick<Measured, 'goal'> = {},
): Measured => ({
  name,
  unit,
  ...more,
  prepare: async (place) => atFull(place, { paths: [...new Set((await ordersOf(place)).map(pathOf))] }),
});

const perSecondAtEase = 20;

/** Milliseconds of a request when there is nothing else to do. */
const atEase =
  ({ url }: Place, path: string) =>
  async (seconds: number): Promise<number> =>
    percentile(await paced({ url, request: () => ({ path }), perSecond: perSecondAtEase, seconds }), 0.5);

const ms = `ms p50 at ${perSecondAtEase} requests/s`;

const dayBefore = (days: number): string => formatDay((dayOf(systemClock.now()) - days) as Day);
/** The month that the generated usage lies in. */
const month = (): string => `from=${dayBefore(29)}&to=${dayBefore(0)}`;

/** The price that so many subscriptions have reached. */
export async function limitOf({ url }: Place, reached: number): Promise<string> {
  const answer = await fetch(`${url}/api/v1/usage/metrics?${month()}&usage_type=data`, {
    headers: { accept: 'application/x-ndjson' },
  });
  const prices = (await answer.text())
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { readonly total_price: string }).total_price);
  const sorted = prices.toSorted((a, b) => Number(b) - Number(a));
  const price = sorted[reached - 1];
  if (price === undefined) throw new Error(`${url}: fewer than ${reached} subscriptions have used data`);
  return price;
}

/** The number of a subscription of `milliard usage generate`. */
export const subscriptionOf = (n: number, { subscriptions }: CitusScale): string =>
  `SUB${String(1 + (n % subscriptions)).padStart(String(subscriptions).length, '0')}`;

/** Reads of the other benches, all from the database. */
export const reads = (scale: CitusScale): readonly Measured[] => [
  ofOrders('order_by_id', ({ order_id }) => `/api/v1/orders/${order_id}`, { goal }),
  ofOrders(
    'order_by_number',
    ({ customer_id, order_number }) => `/api/v1/orders?customer_id=${customer_id}&order_number=${order_number}`,
    { goal },
  ),
  ofOrders('order_history', ({ order_id }) => `/api/v1/orders/${order_id}/history`, { goal }),
  {
    name: 'shipment_uncached',
    unit,
    goal,
    prepare: async (place) => {
      const drawn = drawPaths({ shipments: scale.shipments, drawnLookUps: 16_000 }).map((path) => ({ path }));
      return atFull(place, { drawn });
    },
  },
  {
    name: 'ticket_verify',
    unit,
    goal,
    prepare: async (place) => atFull(place, { repeatable: verifications(await someTokens(place.db)) }),
  },
  {
    name: 'usage_one',
    unit,
    goal,
    prepare: async (place) => {
      const path = (n: number) =>
        `/api/v1/usage/metrics?${month()}&subscription_id=${subscriptionOf(n * 7, scale)}&group_by=day`;
      return atFull(place, { paths: Array.from({ length: 500 }, (_, n) => path(n)) });
    },
  },
  ofOrders('customer_page', ({ customer_id }) => `/api/v1/orders?customer_id=${customer_id}`),
  {
    name: 'cancelled_page_p50',
    unit: ms,
    goal: '<= 4 ms',
    prepare: async (place) => atEase(place, '/api/v1/orders?status=cancelled'),
  },
  {
    name: 'over_limit_p50',
    unit: ms,
    prepare: async (place) => {
      const limit = await limitOf(place, overLimitCount);
      return atEase(place, `/api/v1/usage/over-limit?usage_type=data&price_limit=${limit}&limit=200`);
    },
  },
  {
    name: 'metrics_month',
    unit: 'rows/s streamed',
    prepare:
      async ({ url }) =>
      async () => {
        const { rows, seconds } = await streamed(`${url}/api/v1/usage/metrics?${month()}`);
        return rows / seconds;
      },
  },
];
