import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';

const writers = 8;

/** What the server acknowledged of one order, as its client knows it. */
interface Acknowledged {
  readonly orderId: string;
  readonly statuses: Set<string>;
}

/** Sends until it is answered for good; a broken connection and 503 mean: the same again. */
async function sendUntilAnswered(
  url: () => string,
  path: string,
  body: object,
): Promise<{ status: number; json: Record<string, unknown> }> {
  for (;;) {
    try {
      const answer = await fetch(`${url()}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const json = (await answer.json()) as Record<string, unknown>;
      if (answer.status !== 503) return { status: answer.status, json };
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    }
    await delay(20);
  }
}

export interface Traffic {
  readonly acknowledged: Map<string, Acknowledged>;
  count(): number;
  /** Lets every writer finish its order. */
  stop(): Promise<void>;
}

/** Writers that place orders and complete every other one, each step sent again until it is acknowledged. */
export function startTraffic(url: () => string): Traffic {
  const acknowledged = new Map<string, Acknowledged>();
  let count = 0;
  let running = true;
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; running; n++) {
      const orderNumber = `W${writer}-${n}`;
      const document = {
        customer_id: `C${n % 50}`,
        order_number: orderNumber,
        items: [{ sku: 'A', quantity: 1, unit_price: n }],
      };
      const created = await sendUntilAnswered(url, '/api/v1/orders', document);
      if (created.status !== 201)
        throw new Error(`order ${orderNumber} was answered with ${created.status}: ${JSON.stringify(created.json)}`);
      const order: Acknowledged = { orderId: String(created.json['order_id']), statuses: new Set() };
      acknowledged.set(orderNumber, order);
      count++;
      if (n % 2 === 1) continue;
      const event = { status: 'complete', event_key: `paid-${orderNumber}` };
      const recorded = await sendUntilAnswered(url, `/api/v1/orders/${order.orderId}/status`, event);
      if (recorded.status !== 201)
        throw new Error(
          `the status of ${orderNumber} was answered with ${recorded.status}: ${JSON.stringify(recorded.json)}`,
        );
      order.statuses.add(event.event_key);
      count++;
    }
  };
  const all = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  all.catch(() => {});
  return {
    acknowledged,
    count: () => count,
    async stop() {
      running = false;
      await all;
    },
  };
}

interface StoredOrder {
  readonly orderId: string;
  readonly orderNumber: string;
  readonly status: string;
  readonly history: string[];
}

const storedOrders = () =>
  dynamic(sql<StoredOrder>`select o.order_id as "orderId", o.order_number as "orderNumber", o.status,
    (select array_agg(coalesce(s.event_key, s.status) order by s.seq) from order_statuses s
      where s.order_id = o.order_id and s.bucket = o.bucket) as history from orders o`);

/** Compares what clients were told with what is stored. */
export async function compareWithStored(db: Database, { acknowledged }: Traffic) {
  const byNumber = new Map<string, StoredOrder[]>();
  for (const row of await db.query(storedOrders()))
    byNumber.set(row.orderNumber, [...(byNumber.get(row.orderNumber) ?? []), row]);
  const counts = { acknowledged: acknowledged.size, lost: 0, doubled: 0, wrongHistory: 0 };
  for (const rows of byNumber.values()) if (rows.length > 1) counts.doubled++;
  for (const [orderNumber, { orderId, statuses }] of acknowledged) {
    const stored = byNumber.get(orderNumber)?.find((row) => row.orderId === orderId);
    if (stored === undefined) counts.lost++;
    else if (stored.history.join() !== ['pending', ...statuses].join()) counts.wrongHistory++;
    else if (stored.status !== (statuses.size > 0 ? 'complete' : 'pending')) counts.wrongHistory++;
  }
  return counts;
}
