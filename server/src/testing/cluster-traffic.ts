import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../storage/database.ts';
import { dynamic, sql } from '../storage/sql.ts';

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: string;
  readonly tookMs: number;
}

export interface Call {
  readonly path: string;
  /** Present: a POST of this document. */
  readonly document?: object;
}

export type Send = (call: Call) => Promise<Answer>;

/** Sends a request once, over connections that are kept. @param timeout in ms: who is not answered by then gives up */
export function createSend(url: string, apiKey: string, timeout = 60_000): { readonly send: Send; close(): void } {
  const agent = new Agent({ keepAlive: true });
  const send: Send = ({ path, document }) =>
    new Promise((resolve, reject) => {
      const body = document === undefined ? undefined : JSON.stringify(document);
      const startedMs = performance.now();
      const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
      const sent = request(
        `${url}${path}`,
        { method: body === undefined ? 'GET' : 'POST', agent, headers, timeout },
        (answer) => {
          const chunks: Buffer[] = [];
          const end = (): void =>
            resolve({
              status: answer.statusCode ?? 0,
              retryAfter: answer.headers['retry-after'] ?? null,
              body: Buffer.concat(chunks).toString(),
              tookMs: performance.now() - startedMs,
            });
          answer
            .on('data', (chunk: Buffer) => chunks.push(chunk))
            .on('error', reject)
            .on('end', end);
        },
      )
        .on('timeout', () => sent.destroy(new Error(`no answer within ${timeout} ms`)))
        .on('error', reject)
        .end(body);
    });
  return { send, close: () => agent.destroy() };
}

/** Of one stretch of the traffic. */
export interface StretchCounts {
  acknowledged: number;
  reads: number;
  /** Answers other than the right one and 503. */
  failed: number;
  /** Answers that said: try again. */
  toldToWait: number;
  worstWriteMs: number;
  worstReadMs: number;
}

export interface ClusterTraffic {
  /** Order numbers with the ids that were acknowledged. */
  readonly orders: ReadonlyMap<string, string>;
  readonly faults: readonly string[];
  /** The counts since the last call. */
  take(): StretchCounts;
  /** As they are now. */
  now(): Readonly<StretchCounts>;
  untilMore(orders: number): Promise<void>;
  stop(): Promise<void>;
}

const nothing = (): StretchCounts => ({
  acknowledged: 0,
  reads: 0,
  failed: 0,
  toldToWait: 0,
  worstWriteMs: 0,
  worstReadMs: 0,
});

/** Sends until the answer is the right one; 503 means: the same again. Null: it failed, which is noted. */
const createPatientSend =
  (send: Send, { counts: now, faults }: { readonly counts: () => StretchCounts; readonly faults: string[] }) =>
  async (call: Call, worst: 'worstWriteMs' | 'worstReadMs'): Promise<Answer | null> => {
    const startedMs = performance.now();
    const expected = call.document === undefined ? 200 : 201;
    for (;;) {
      const answer = await send(call).catch((error: Error) => error);
      const counts = now();
      counts[worst] = Math.max(counts[worst], Math.round(performance.now() - startedMs));
      if (answer instanceof Error || (answer.status !== expected && answer.status !== 503)) {
        counts.failed++;
        faults.push(
          `${call.path}: ${answer instanceof Error ? answer.message : `${answer.status} ${answer.body.slice(0, 300)}`}`,
        );
        return null;
      }
      if (answer.status === expected) return answer;
      counts.toldToWait++;
      await delay(20);
    }
  };

export interface TrafficOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly customers: readonly string[];
}

const writers = 4;
const readers = 4;

/** Four clients that place orders of their own numbers and four that read acknowledged ones; 503 means: the same again. */
export function startClusterTraffic({ url, apiKey, customers }: TrafficOptions): ClusterTraffic {
  const { send, close } = createSend(url, apiKey);
  const name = randomUUID().slice(0, 8);
  const orders = new Map<string, string>();
  const known: { readonly customerId: string; readonly orderId: string }[] = [];
  const faults: string[] = [];
  let counts = nothing();
  let running = true;

  const sendUntilAnswered = createPatientSend(send, { counts: () => counts, faults });
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; running; n++) {
      const customerId = customers[(writer + n) % customers.length] ?? '';
      const number = `${name}-${writer}-${n}`;
      const document = {
        customer_id: customerId,
        order_number: number,
        items: [{ sku: 'A', quantity: 1, unit_price: 5 }],
      };
      const answer = await sendUntilAnswered({ path: '/api/v1/orders', document }, 'worstWriteMs');
      if (answer === null) continue;
      const { order_id: orderId } = JSON.parse(answer.body) as { order_id: string };
      orders.set(number, orderId);
      known.push({ customerId, orderId });
      counts.acknowledged++;
    }
  };
  const read = async (reader: number): Promise<void> => {
    for (let n = 0; running; n++) {
      const one = known[Math.floor(Math.random() * known.length)];
      if (one === undefined) {
        await delay(5);
        continue;
      }
      const isList = (reader + n) % 4 === 0;
      const path = isList ? `/api/v1/orders?customer_id=${one.customerId}&limit=5` : `/api/v1/orders/${one.orderId}`;
      const answer = await sendUntilAnswered({ path }, 'worstReadMs');
      if (answer === null) continue;
      counts.reads++;
      if (answer.body.includes(isList ? one.customerId : one.orderId)) continue;
      counts.failed++;
      faults.push(`${path} was answered without it: ${answer.body.slice(0, 300)}`);
    }
  };
  const all = Promise.all([
    ...Array.from({ length: writers }, (_, writer) => write(writer)),
    ...Array.from({ length: readers }, (_, reader) => read(reader)),
  ]);
  all.catch(() => {});
  return {
    orders,
    faults,
    now: () => counts,
    take() {
      const taken = counts;
      counts = nothing();
      return taken;
    },
    async untilMore(more) {
      const goal = orders.size + more;
      while (orders.size < goal) await delay(5);
    },
    async stop() {
      running = false;
      await all;
      close();
    },
  };
}

/** What is stored against what was acknowledged. */
export async function compareStored(
  db: Database,
  orders: ReadonlyMap<string, string>,
): Promise<{ readonly lost: number; readonly doubled: number }> {
  const rows = await db.query(
    dynamic<{ number: string; id: string }>(
      sql`select order_number as number, order_id as id from orders where order_number is not null`,
    ),
  );
  const ids = new Map<string, string[]>();
  for (const { number, id } of rows) ids.set(number, [...(ids.get(number) ?? []), id]);
  return {
    lost: [...orders].filter(([number, id]) => ids.get(number)?.includes(id) !== true).length,
    doubled: [...ids.values()].filter(({ length }) => length > 1).length,
  };
}
