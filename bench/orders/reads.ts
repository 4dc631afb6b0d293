import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load } from '../harness/load.ts';
import { startProgram } from '../harness/processes.ts';
import { inTurns } from '../harness/turns.ts';
import { against, alone, type Figures, median } from '../report.ts';

const memoryServer = fileURLToPath(new URL('./memory-server.ts', import.meta.url));
const connections = 16;

export interface FoundOrder {
  readonly order_id: string;
  readonly customer_id: string;
  readonly order_number: string | null;
}

export interface OrderPage {
  readonly items: readonly FoundOrder[];
  readonly next: string | null;
}

/** The paths of each kind of read, over orders and customers from all over the data. */
export type ReadPaths = Readonly<
  Record<'read_by_id' | 'customer_page' | 'status_page' | 'time_page', readonly string[]>
>;

export const getJson = async <T>(url: string): Promise<T> => {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return (await answer.json()) as T;
};

export type ReadRates = Readonly<Record<keyof ReadPaths, number>>;

/** Evenly spread instants of the past two years, as texts. */
function instants(points: number): string[] {
  const now = Date.now();
  const spanMs = 720 * 86_400_000;
  return Array.from({ length: points }, (_, i) => new Date(now - ((i + 1) * spanMs) / (points + 1)).toISOString());
}

const ordersBefore = async (url: string, to: string): Promise<readonly FoundOrder[]> =>
  (await getJson<OrderPage>(`${url}/api/v1/orders?placed_to=${to}&limit=5`)).items;

/** Orders from all over the data. */
export async function findOrders(url: string, points: number): Promise<FoundOrder[]> {
  const found: FoundOrder[] = [];
  for (const to of instants(points)) found.push(...(await ordersBefore(url, to)));
  return found;
}

/** Looks for orders at evenly spread instants of the past two years. */
export async function findPaths(url: string, points: number): Promise<ReadPaths> {
  const byId = new Set<string>();
  const byCustomer = new Set<string>();
  const byTime: string[] = [];
  const byStatus: string[] = [
    '/api/v1/orders?status=cancelled',
    '/api/v1/orders?status=complete',
    '/api/v1/orders?status=cancelled,pending',
  ];
  for (const to of instants(points)) {
    for (const { order_id, customer_id } of await ordersBefore(url, to)) {
      byId.add(`/api/v1/orders/${order_id}`);
      byCustomer.add(`/api/v1/orders?customer_id=${customer_id}`);
    }
    const from = new Date(Date.parse(to) - 86_400_000).toISOString();
    byTime.push(`/api/v1/orders?placed_from=${from}&placed_to=${to}`);
    byStatus.push(`/api/v1/orders?status=cancelled&placed_to=${to}`);
  }
  return { read_by_id: [...byId], customer_page: [...byCustomer], status_page: byStatus, time_page: byTime };
}

/** Requests a second of each read, nothing cached. */
export async function measureReads(url: string, paths: ReadPaths, seconds: number): Promise<ReadRates> {
  const rates = {} as Record<keyof ReadPaths, number>;
  for (const name of Object.keys(paths) as (keyof ReadPaths)[]) {
    rates[name] = (await load({ url, connections, seconds, paths: paths[name] })).perSecond;
  }
  return rates;
}

/** Each read of the server against the same documents from memory. */
export async function readFigures(url: string, seconds: number): Promise<{ figures: Figures; rates: ReadRates }> {
  const paths = await findPaths(url, 40);
  const dir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  try {
    const documents: Record<string, object> = {};
    for (const path of Object.values(paths).flat()) documents[path] = await getJson<object>(url + path);
    const file = join(dir, 'documents.json');
    await writeFile(file, JSON.stringify(documents));
    await using memory = await startProgram(memoryServer, [file]);
    const ceiling = await measureReads(memory.url, paths, seconds);
    const rates = await measureReads(url, paths, seconds);
    const figures = Object.fromEntries(
      (Object.keys(paths) as (keyof ReadPaths)[]).map((name) => [
        name,
        against(rates[name], ceiling[name], { unit: 'requests/s', goal: '>= 0.4 of Fastify from memory' }),
      ]),
    );
    return { figures, rates };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The newest cancelled orders, asked for again and again as a dashboard does: with the cache and without, by turns. */
export async function cachedPageFigure(
  urls: { readonly cached: string; readonly uncached: string },
  seconds: number,
): Promise<Figures> {
  const paths = ['/api/v1/orders?status=cancelled'];
  const rounds = 3;
  const asking = (url: string) => async (each: number) =>
    (await load({ url, connections, seconds: each, paths })).perSecond;
  const rates = await inTurns(
    { cached: asking(urls.cached), uncached: asking(urls.uncached) },
    { rounds, seconds: Math.ceil(seconds / rounds), warmUpSeconds: null },
  );
  const unit = 'requests/s, first page of cancelled orders (baseline: the cache off)';
  return { page_cached: against(median(rates.cached), median(rates.uncached), { unit }) };
}

const timesMs = async (times: number, work: () => Promise<unknown>): Promise<number> => {
  const measured: number[] = [];
  for (let i = 0; i < times; i++) {
    const startedMs = performance.now();
    await work();
    measured.push(performance.now() - startedMs);
  }
  return median(measured);
};

/** Walks all orders by cursor and compares the last full page with the first. */
export async function pageDepth(url: string): Promise<Figures> {
  // Behind the orders that the bench itself posted a minute ago: those are smaller than the generated ones.
  const yesterday = new Date(Date.now() - 86_400_000).toISOString();
  const first = `${url}/api/v1/orders?limit=500&placed_to=${yesterday}`;
  let last = first;
  let pages = 1;
  for (let page = await getJson<OrderPage>(first); page.next !== null; pages++) {
    const next = new URL(page.next, url).href;
    page = await getJson<OrderPage>(next);
    if (page.items.length === 500) last = next;
  }
  const firstMs = await timesMs(30, () => getJson(first));
  const lastMs = await timesMs(30, () => getJson(last));
  return {
    page_depth: against(lastMs, firstMs, {
      unit: `ms, last of ${pages} pages against the first`,
      goal: '<= 1.2 times',
    }),
    pages_walked: alone(pages, { unit: 'pages of 500' }),
  };
}
