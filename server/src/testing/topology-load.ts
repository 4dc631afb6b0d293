import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';

/** One request that was not answered as it should be. */
export interface FailedRequest {
  readonly what: RequestKind;
  readonly fault: string;
}

/** Reads; orders with an Idempotency-Key; bulk uploads of many lines, which nobody can send again but their client. */
export type RequestKind = 'read' | 'keyed order' | 'order without a key' | 'bulk';

/** An order as its client knows it. */
export interface AcknowledgedOrder {
  readonly customerId: string;
  readonly key: string | null;
  readonly orderId: string;
}

export interface TopologyLoad {
  readonly failed: readonly FailedRequest[];
  readonly acknowledged: readonly AcknowledgedOrder[];
  sent(what: RequestKind): number;
  /** Resolves when so many requests more have been answered. */
  untilMore(requests: number): Promise<void>;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

const workers: Readonly<Record<RequestKind, number>> = {
  read: 6,
  'keyed order': 6,
  'order without a key': 2,
  bulk: 1,
};
const bulkLines = 300;

/** Clients that send one request after the other over connections they keep, each request once: nothing is sent again. */
export function startTopologyLoad(url: string, apiKey: string): TopologyLoad {
  const agent = new Agent({ keepAlive: true });
  const tally = createTally();
  const acknowledged: AcknowledgedOrder[] = [];
  let running = true;
  const send: Send = async (what, call, expected) => {
    const headers = { authorization: `Bearer ${apiKey}`, ...call.headers };
    const answer = await ask(`${url}${call.path}`, { ...call, headers, agent }).catch((error: Error) => error);
    tally.count(what);
    if (!(answer instanceof Error) && answer.status === expected) return answer;
    const fault = answer instanceof Error ? answer.message : `${answer.status} ${answer.body.slice(0, 300)}`;
    tally.failed.push({ what, fault });
    return null;
  };
  const act = actions(send, tally.failed, acknowledged);
  const run = async (what: RequestKind): Promise<void> => {
    const name = randomUUID();
    for (let n = 0; running; n++) await act[what](`${name}-${n}`);
  };
  const kinds = Object.keys(workers) as RequestKind[];
  const all = Promise.all(kinds.flatMap((what) => Array.from({ length: workers[what] }, () => run(what))));
  all.catch(() => {});
  return {
    failed: tally.failed,
    acknowledged,
    sent: tally.sent,
    untilMore: tally.untilMore,
    async stop() {
      running = false;
      await all;
      agent.destroy();
    },
  };
}

function createTally() {
  const failed: FailedRequest[] = [];
  const counts = new Map<RequestKind, number>();
  const waiting: { at: number; resolve: () => void }[] = [];
  let answered = 0;
  return {
    failed,
    count(what: RequestKind): void {
      counts.set(what, (counts.get(what) ?? 0) + 1);
      answered++;
      for (const waiter of waiting) if (answered >= waiter.at) waiter.resolve();
    },
    sent: (what: RequestKind): number => counts.get(what) ?? 0,
    untilMore: (requests: number) => new Promise<void>((resolve) => waiting.push({ at: answered + requests, resolve })),
  };
}

/** @returns the answer when its status is the expected one; else the failure is noted */
type Send = (what: RequestKind, call: Call, expected: number) => Promise<Answer | null>;

const order = (customerId: string): string =>
  JSON.stringify({ customer_id: customerId, items: [{ sku: 'A', quantity: 1, unit_price: 5 }] });
const json = { 'content-type': 'application/json' };

function actions(
  send: Send,
  failed: FailedRequest[],
  acknowledged: AcknowledgedOrder[],
): Readonly<Record<RequestKind, (name: string) => Promise<void>>> {
  const note = (answer: Answer | null, customerId: string, key: string | null): void => {
    if (answer === null) return;
    const { order_id: orderId } = JSON.parse(answer.body) as { order_id: string };
    acknowledged.push({ customerId, key, orderId });
  };
  return {
    async read() {
      const known = acknowledged[Math.floor(Math.random() * acknowledged.length)];
      const path = known === undefined ? '/api/v1/orders?limit=5' : `/api/v1/orders/${known.orderId}`;
      const answer = await send('read', { path }, 200);
      if (known !== undefined && answer !== null && !answer.body.includes(known.orderId))
        failed.push({ what: 'read', fault: `another order than ${known.orderId}: ${answer.body.slice(0, 300)}` });
    },
    async 'keyed order'(name) {
      const call = { path: '/api/v1/orders', headers: { ...json, 'idempotency-key': name }, body: order(`C${name}`) };
      note(await send('keyed order', call, 201), `C${name}`, name);
    },
    async 'order without a key'(name) {
      const call = { path: '/api/v1/orders', headers: json, body: order(`U${name}`) };
      note(await send('order without a key', call, 201), `U${name}`, null);
    },
    async bulk(name) {
      const head = order(`B${name}`).slice(0, -1);
      const body = Array.from({ length: bulkLines }, (_, n) => `${head},"order_number":"${name}-${n}"}`).join('\n');
      const headers = { 'content-type': 'application/x-ndjson' };
      const answer = await send('bulk', { path: '/api/v1/orders/bulk', headers, body }, 200);
      if (answer !== null && !answer.body.includes(`"created":${bulkLines},`))
        failed.push({ what: 'bulk', fault: answer.body.slice(-300) });
    },
  };
}

interface Call {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

// Not fetch: that sends a GET again by itself when its connection breaks.
function ask(url: string, { headers, body, agent }: Omit<Call, 'path'> & { readonly agent: Agent }): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    request(url, { method, agent, headers: { ...headers, ...length } }, (answer) => {
      const chunks: Buffer[] = [];
      answer
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('error', reject)
        .on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    })
      .on('error', reject)
      .end(body);
  });
}
