import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';

export interface SaltingCounts {
  acknowledged: number;
  /** Documents that were sent again under the same number, to any server. */
  replayed: number;
  /** Replays that were told another order than the first time. */
  replayed_elsewhere: number;
  /** Answers other than 201 and 503. */
  failed: number;
  /** Answers that said: try again. */
  told_to_wait: number;
  told_others_to_wait: number;
  longest_pause_of_salted_ms: number;
  longest_pause_of_others_ms: number;
}

export interface SaltingTraffic {
  readonly counts: SaltingCounts;
  /** Order numbers with the ids that were acknowledged. */
  readonly orders: ReadonlyMap<string, string>;
  /** Lets so many more orders be acknowledged. */
  untilMore(orders: number): Promise<void>;
  stop(): Promise<void>;
}

export interface SaltingTrafficOptions {
  readonly urls: readonly string[];
  /** Customers that are salted; every other order is of one of them. */
  readonly hot: readonly string[];
  readonly writers: number;
}

interface Placed {
  readonly customerId: string;
  readonly number: string;
}

/** Writers that place orders of hot customers and of others at every server in turn, and send every third of them again later. */
export function startSaltingTraffic({ urls, hot, writers }: SaltingTrafficOptions): SaltingTraffic {
  const counts: SaltingCounts = {
    ...{ acknowledged: 0, replayed: 0, replayed_elsewhere: 0, failed: 0, told_to_wait: 0, told_others_to_wait: 0 },
    ...{ longest_pause_of_salted_ms: 0, longest_pause_of_others_ms: 0 },
  };
  const name = randomUUID().slice(0, 8);
  const orders = new Map<string, string>();
  const known: Placed[] = [];
  let running = true;

  const send = async ({ customerId, number }: Placed, url: string): Promise<string | null> => {
    const isHot = hot.includes(customerId);
    const startedMs = performance.now();
    try {
      for (;;) {
        const answer = await fetch(`${url}/api/v1/orders`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(documentOf({ customerId, number })),
        });
        const { order_id: orderId } = (await answer.json()) as { order_id?: string };
        if (answer.status === 201 && orderId !== undefined) return orderId;
        if (answer.status !== 503) {
          counts.failed++;
          return null;
        }
        if (isHot) counts.told_to_wait++;
        else counts.told_others_to_wait++;
        if (!running) return null;
        await delay(20);
      }
    } finally {
      const pauseMs = Math.round(performance.now() - startedMs);
      const longest = isHot ? 'longest_pause_of_salted_ms' : 'longest_pause_of_others_ms';
      counts[longest] = Math.max(counts[longest], pauseMs);
    }
  };

  const write = async (writer: number): Promise<void> => {
    for (let n = 0; running; n++) {
      const url = urls[(writer + n) % urls.length] ?? '';
      const customerId = n % 2 === 0 ? (hot[(n / 2) % hot.length] ?? '') : `other-${n % 60}`;
      const placed = { customerId, number: `${name}-${writer}-${n}` };
      const orderId = await send(placed, url);
      if (orderId !== null) {
        counts.acknowledged++;
        orders.set(placed.number, orderId);
        known.push(placed);
      }
      if (n % 3 !== 0 || known.length === 0) continue;
      const again = known[Math.floor(Math.random() * known.length)];
      if (again === undefined) continue;
      const same = await send(again, urls[Math.floor(Math.random() * urls.length)] ?? '');
      if (same === null) continue;
      counts.replayed++;
      if (same !== orders.get(again.number)) counts.replayed_elsewhere++;
    }
  };
  const all = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  all.catch(() => {});
  return {
    counts,
    orders,
    async untilMore(more) {
      const goal = counts.acknowledged + more;
      while (counts.acknowledged < goal) await delay(5);
    },
    async stop() {
      running = false;
      await all;
    },
  };
}

const documentOf = ({ customerId, number }: Placed) => ({
  customer_id: customerId,
  order_number: number,
  items: [{ sku: 'A', quantity: 1, unit_price: 5 }],
});

/** What is stored against what was acknowledged. */
export async function compareSalted(
  db: Database,
  { orders }: Pick<SaltingTraffic, 'orders'>,
): Promise<{ lost: number; doubled: number }> {
  const rows = await db.query(
    dynamic<{ number: string; id: string }>(sql`select order_number as number, order_id as id from orders`),
  );
  const ids = new Map<string, string[]>();
  for (const { number, id } of rows) ids.set(number, [...(ids.get(number) ?? []), id]);
  return {
    lost: [...orders].filter(([number, id]) => ids.get(number)?.includes(id) !== true).length,
    doubled: [...ids.values()].filter(({ length }) => length > 1).length,
  };
}
