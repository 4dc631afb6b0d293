import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../storage/database.ts';
import { dynamic, type Statement, sql } from '../storage/sql.ts';
import { type Answer, type Call, createSend } from './cluster-traffic.ts';

/** What was acknowledged, by the names that its clients gave. */
export interface Acknowledged {
  /** Order numbers with their ids. */
  readonly orders: Map<string, string>;
  /** Event keys of statuses with the ids of their orders. */
  readonly statuses: Map<string, string>;
  readonly shipments: Set<string>;
  /** Tracking numbers of events. */
  readonly events: Set<string>;
  /** Ticket numbers with their ids. */
  readonly tickets: Map<string, string>;
  readonly usage: Set<string>;
}

export interface MixedCounts {
  writes: number;
  reads: number;
  /** Answers that said: try again. */
  toldToWait: number;
  /** Connections that were refused or broke, and went to another server. */
  sentElsewhere: number;
  worstWriteMs: number;
  worstReadMs: number;
}

export interface MixedTraffic {
  readonly acknowledged: Acknowledged;
  /** Answers that were neither right nor 503. */
  readonly faults: readonly string[];
  /** The counts since the last call. */
  take(): MixedCounts;
  untilMore(writes: number): Promise<void>;
  stop(): Promise<void>;
}

const nothing = (): MixedCounts => ({
  writes: 0,
  reads: 0,
  toldToWait: 0,
  sentElsewhere: 0,
  worstWriteMs: 0,
  worstReadMs: 0,
});

interface World {
  readonly name: string;
  readonly usedAt: string;
  readonly acknowledged: Acknowledged;
  /** Sent until it is answered; null: it failed, which is noted. */
  readonly ask: (call: Call, expected: number) => Promise<Answer | null>;
  readonly fault: (text: string) => void;
}

/** How many write, and how many read. */
const clients = 4;

/**
 * Four clients that place orders, report statuses, announce shipments, report events, create tickets and record usage, each under a
 * name of its own, and four that read what was acknowledged. They go to the servers in turn, and to the next when one is not there.
 */
export function startMixedTraffic(urls: readonly string[], apiKey: string): MixedTraffic {
  const senders = urls.map((url) => createSend(url, apiKey));
  const faults: string[] = [];
  let counts = nothing();
  let running = true;
  let turn = 0;
  let written = 0;
  const ask = async (call: Call, expected: number): Promise<Answer | null> => {
    const worst = expected === 201 ? 'worstWriteMs' : 'worstReadMs';
    const startedMs = performance.now();
    for (;;) {
      const sender = senders[turn++ % senders.length];
      const answer = await sender?.send(call).catch((error: Error) => error);
      counts[worst] = Math.max(counts[worst], Math.round(performance.now() - startedMs));
      if (answer === undefined || answer instanceof Error) counts.sentElsewhere++;
      else if (answer.status === 503) counts.toldToWait++;
      else if (answer.status === expected) {
        counts[expected === 201 ? 'writes' : 'reads']++;
        if (expected === 201) written++;
        return answer;
      } else {
        faults.push(`${call.path}: ${answer.status} ${answer.body.slice(0, 300)}`);
        return null;
      }
      await delay(20);
    }
  };
  const world: World = {
    name: `M${randomUUID().slice(0, 8).toUpperCase()}`,
    usedAt: new Date(Date.now() - 86_400_000).toISOString(),
    acknowledged: {
      orders: new Map(),
      statuses: new Map(),
      shipments: new Set(),
      events: new Set(),
      tickets: new Map(),
      usage: new Set(),
    },
    ask,
    fault: (text) => void faults.push(text),
  };
  const run = async (work: (n: number) => Promise<void>): Promise<void> => {
    for (let n = 0; running; n++) await work(n);
  };
  const all = Promise.all(
    Array.from({ length: clients }, (_, i) => [
      run((n) => write(world, `${world.name}X${i}X${n}`)),
      run((n) => read(world, i + n)),
    ]).flat(),
  );
  all.catch(() => {});
  return {
    acknowledged: world.acknowledged,
    faults,
    take() {
      const taken = counts;
      counts = nothing();
      return taken;
    },
    async untilMore(writes) {
      const goal = written + writes;
      while (written < goal) await delay(5);
    },
    async stop() {
      running = false;
      await all;
      for (const { close } of senders) close();
    },
  };
}

const idOf = (answer: Answer, field: string): string =>
  String((JSON.parse(answer.body) as Record<string, unknown>)[field]);

/** Whose a name is: `M1F…X2X17`. */
function customerOf(name: string): string {
  const [, writer, n] = name.split('X');
  return `mixed-${(Number(writer) + Number(n)) % 40}`;
}

async function write({ acknowledged, ask, usedAt }: World, name: string): Promise<void> {
  const customer = customerOf(name);
  const items = [{ sku: 'A', quantity: 1, unit_price: 5 }];
  const order = { customer_id: customer, order_number: name, items };
  const placed = await ask({ path: '/api/v1/orders', document: order }, 201);
  if (placed !== null) {
    const id = idOf(placed, 'order_id');
    acknowledged.orders.set(name, id);
    const status = { status: 'complete', event_key: name };
    if ((await ask({ path: `/api/v1/orders/${id}/status`, document: status }, 201)) !== null)
      acknowledged.statuses.set(name, id);
  }
  const shipment = {
    carrier: 'DHL',
    tracking_number: name,
    sender: { address: 'Street 1, 10115 Berlin, Germany' },
    receiver: { address: 'Street 10, 75001 Paris, France' },
    currency: 'EUR',
    articles: [{ sku: 'L', name: 'Laptop', quantity: 1, unit_price: 80_000 }],
  };
  if ((await ask({ path: '/api/v1/shipments', document: shipment }, 201)) !== null) acknowledged.shipments.add(name);
  const event = { code: 'in-transit', occurred_at: usedAt };
  if ((await ask({ path: `/api/v1/shipments/DHL/${name}/events`, document: event }, 201)) !== null)
    acknowledged.events.add(name);
  const ticket = { holder: customer, event: 'fair', ticket_number: name };
  const made = await ask({ path: '/api/v1/tickets', document: ticket }, 201);
  if (made !== null) acknowledged.tickets.set(name, idOf(made, 'ticket_id'));
  const record = { record_id: name, subscription_id: customer, usage_type: 'data', used_at: usedAt };
  if ((await ask({ path: '/api/v1/usage/records', document: { ...record, used: 7, price: '0.25' } }, 201)) !== null)
    acknowledged.usage.add(name);
}

const anyOf = <T>(all: Iterable<T>, size: number): T | undefined => {
  let left = Math.floor(Math.random() * size);
  for (const one of all) if (left-- <= 0) return one;
  return undefined;
};

/** Each must hold what was acknowledged. */
async function read({ acknowledged, ask, fault }: World, n: number): Promise<void> {
  const [number, id] = anyOf(acknowledged.orders, Math.min(500, acknowledged.orders.size)) ?? [];
  const tracking = anyOf(acknowledged.events, Math.min(500, acknowledged.events.size));
  const ticket = anyOf(acknowledged.tickets.values(), Math.min(500, acknowledged.tickets.size));
  if (number === undefined || id === undefined || tracking === undefined || ticket === undefined) {
    await delay(5);
    return;
  }
  const customer = customerOf(number);
  const paths: readonly (readonly [path: string, holds: string])[] = [
    [`/api/v1/orders/${id}`, id],
    [`/api/v1/orders/${id}/history`, 'pending'],
    [`/api/v1/orders?customer_id=${customer}&limit=5`, customer],
    ['/api/v1/orders?status=complete&limit=5', 'complete'],
    [`/api/v1/shipments/DHL/${tracking}`, tracking],
    ['/api/v1/shipments?status=in_transit&limit=5', 'in_transit'],
    [`/api/v1/tickets/${ticket}`, ticket],
    [`/api/v1/tickets?holder=${customer}&limit=5`, 'items'],
    [`/api/v1/tickets/${ticket}/token`, 'token'],
    [`/api/v1/usage/metrics?subscription_id=${customer}&from=2020-01-01&to=2099-01-01&fresh=true`, 'items'],
  ];
  const [path, holds] = paths[n % paths.length] ?? ['', ''];
  const answer = await ask({ path }, 200);
  if (answer !== null && !answer.body.includes(holds))
    fault(`${path} was answered without ${holds}: ${answer.body.slice(0, 300)}`);
}

/** What is stored against what was acknowledged, by name. */
export async function compareMixed(
  db: Database,
  { orders, statuses, shipments, events, tickets, usage }: Acknowledged,
): Promise<Record<string, { readonly acknowledged: number; readonly lost: number; readonly doubled: number }>> {
  const compared: Record<string, { acknowledged: number; lost: number; doubled: number }> = {};
  const stored = async (what: string, acknowledged: Iterable<string>, text: string): Promise<void> => {
    const named: Statement<{ name: string }> = { text, values: [] };
    const rows = await db.query(named);
    const times = new Map<string, number>();
    for (const { name } of rows) times.set(name, (times.get(name) ?? 0) + 1);
    const wanted = [...acknowledged];
    compared[what] = {
      acknowledged: wanted.length,
      lost: wanted.filter((name) => !times.has(name)).length,
      doubled: [...times.values()].filter((count) => count > 1).length,
    };
  };
  const pairs = (all: ReadonlyMap<string, string>): string[] => [...all].map(([name, id]) => `${name} ${id}`);
  const mixed = `like 'mixed-%'`;
  await stored(
    'orders',
    pairs(orders),
    `select order_number || ' ' || order_id as name from orders where customer_id ${mixed}`,
  );
  await stored('order numbers', orders.keys(), `select order_number as name from orders where customer_id ${mixed}`);
  await stored(
    'order keys',
    orders.keys(),
    `select key as name from order_keys where customer_id ${mixed} and kind = 'number'`,
  );
  await stored(
    'statuses',
    pairs(statuses),
    `select event_key || ' ' || order_id as name from order_statuses where event_key is not null`,
  );
  const names = `select tracking_number as name from shipments where tracking_key like 'M%X%X%'`;
  await stored('shipments', shipments, names);
  await stored(
    'shipment events',
    events,
    `select tracking_key as name from shipment_events where tracking_key like 'M%X%X%' and code = 'in-transit'`,
  );
  await stored(
    'tickets',
    pairs(tickets),
    `select ticket_number || ' ' || ticket_id as name from tickets where holder ${mixed}`,
  );
  await stored('usage', usage, `select record_id as name from usage_records where subscription_id ${mixed}`);
  const [sums] = await db.query(
    dynamic<{ records: string }>(
      sql`select coalesce(sum(records), 0)::text as records from usage_totals where subscription_id like 'mixed-%'`,
    ),
  );
  compared['usage in totals'] = {
    acknowledged: usage.size,
    lost: Math.max(0, usage.size - Number(sums?.records)),
    doubled: Math.max(0, Number(sums?.records) - usage.size),
  };
  return compared;
}
