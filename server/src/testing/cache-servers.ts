import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { acquireEmbedded } from '../storage/embedded/embedded-postgres.ts';
import { migrate } from '../storage/migrator.ts';
import { type MilliardProcess, runMilliard, startMilliard } from './milliard-process.ts';

/** Two `milliard serve` processes on one PostgreSQL. */
export interface CacheServers {
  readonly urls: readonly [string, string];
  /** With an API key. */
  get(url: string): Promise<CacheAnswer>;
  post(url: string, document: object): Promise<CacheAnswer>;
  /** Ends PostgreSQL as a crash does. */
  killDatabase(): Promise<void>;
  restartDatabase(): Promise<void>;
  stop(): Promise<void>;
}

export interface CacheAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

/** @param env settings of the servers beside DATABASE_URL */
export async function startCacheServers(env: Readonly<Record<string, string>>): Promise<CacheServers> {
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-cache-'));
  const postgres = await acquireEmbedded({ dataDir, purpose: 'cache test' });
  const servers: MilliardProcess[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop('SIGTERM')));
    await postgres.release();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await migrate({ url: postgres.url });
    const environment = { ...env, DATABASE_URL: postgres.url.replace('@/', '@localhost/') };
    const create = ['keys', 'create', '--name', 'cache', '--json', '--scopes'];
    const scopes = 'orders:read,orders:write,shipments:read,shipments:write';
    const created = await runMilliard({ args: [...create, scopes], env: environment });
    const { api_key: key } = JSON.parse(created.stdout) as { api_key: string };
    for (let i = 0; i < 2; i++) servers.push(await startMilliard({ args: ['serve'], env: environment }));
    const ask = async (url: string, init: RequestInit): Promise<CacheAnswer> => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
      const answer = await fetch(url, { ...init, headers });
      return { status: answer.status, headers: answer.headers, body: (await answer.json()) as CacheAnswer['body'] };
    };
    return {
      urls: [servers[0]?.url ?? '', servers[1]?.url ?? ''],
      get: (url) => ask(url, {}),
      post: (url, document) => ask(url, { method: 'POST', body: JSON.stringify(document) }),
      async killDatabase() {
        const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8');
        process.kill(Number(pidFile.split('\n')[0]), 'SIGQUIT');
      },
      restartDatabase: () => postgres.ensureRunning(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads and writes of the same few shipments and orders on both servers, and every answer that was too old. */
export interface CacheTraffic {
  /** Lets so many more writes be acknowledged. */
  untilMore(writes: number): Promise<void>;
  stop(): Promise<{ readonly writes: number; readonly reads: number; readonly faults: readonly string[] }>;
}

const boundMs = 1_000;
const readers = 6;

interface Document {
  readonly path: string;
  /** What was acknowledged of it. */
  readonly versions: { readonly version: number; readonly server: string; readonly atMs: number }[];
}

/** Starts the traffic. Every request must succeed. */
export async function startCacheTraffic({ urls, get, post }: CacheServers): Promise<CacheTraffic> {
  const documents: Document[] = [];
  const faults: string[] = [];
  const counts = { reads: 0, writes: 0 };
  let isOver = false;
  const pick = <T>(things: readonly T[]): T => things[Math.floor(Math.random() * things.length)] as T;

  const acknowledge = (document: Document, server: string, answer: CacheAnswer): void => {
    if (answer.status >= 300) faults.push(`${document.path} was refused: ${JSON.stringify(answer.body)}`);
    else document.versions.push({ version: answer.body['version'] as number, server, atMs: performance.now() });
    counts.writes++;
  };
  const createShipment = async (name: string): Promise<void> => {
    const server = pick(urls);
    const document = { path: `/api/v1/shipments/DHL/${name}`, versions: [] };
    const shipment = { carrier: 'DHL', tracking_number: name, articles: [] };
    // Both have looked for it before there was one.
    await Promise.all(urls.map((url) => get(url + document.path)));
    acknowledge(document, server, await post(`${server}/api/v1/shipments`, shipment));
    documents.push(document);
  };
  const report = async (document: Document): Promise<void> => {
    const server = pick(urls);
    const event = { code: pick(['in_transit', 'exception', 'out_for_delivery']), description: `${Math.random()}` };
    acknowledge(document, server, await post(`${server}${document.path}/events`, event));
  };
  const liveOrder = async (): Promise<void> => {
    const server = pick(urls);
    const items = [{ sku: 'A', quantity: 1, unit_price: 5 }];
    const created = await post(`${server}/api/v1/orders`, { customer_id: 'C', items });
    const document: Document = { path: `/api/v1/orders/${created.body['order_id'] as string}`, versions: [] };
    acknowledge(document, server, created);
    await Promise.all(urls.map((url) => read(url, document)));
    for (const status of [{ status: 'complete' }, { status: 'cancelled', reason: 'r' }]) {
      const writer = pick(urls);
      acknowledge(document, writer, await post(`${writer}${document.path}/status`, status));
      await Promise.all(urls.map((url) => read(url, document)));
    }
  };
  const read = async (url: string, { path, versions }: Document): Promise<void> => {
    const askedMs = performance.now();
    const due = versions.filter(({ server, atMs }) => server === url || askedMs - atMs > boundMs);
    const least = Math.max(0, ...due.map(({ version }) => version));
    const { status, body } = await get(url + path);
    counts.reads++;
    const version = status === 404 ? 0 : (body['version'] as number);
    if (status !== 200 && status !== 404) faults.push(`${path} answered ${status}`);
    else if (version < least) faults.push(`${path} answered version ${version}, ${least} was due`);
  };

  for (const name of ['A-1', 'A-2', 'A-3', 'A-4']) await createShipment(name);
  const loop = async (work: () => Promise<unknown>): Promise<void> => {
    while (!isOver) await work().catch((error: unknown) => faults.push(String(error)));
  };
  const loops = [
    loop(() => report(pick(documents))),
    loop(liveOrder),
    loop(() => createShipment(`N-${documents.length}`).then(() => delay(50))),
    ...Array.from({ length: readers }, () => loop(() => read(pick(urls), pick(documents.slice(0, 8))))),
  ];
  return {
    async untilMore(writes) {
      const goal = counts.writes + writes;
      while (counts.writes < goal) await delay(5);
    },
    async stop() {
      isOver = true;
      await Promise.all(loops);
      return { ...counts, faults };
    },
  };
}
