import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Currency } from '../../server/src/core/money.ts';
import { dayMs, type Instant } from '../../server/src/core/time.ts';
import type { NewOrder } from '../../server/src/domains/orders/order.ts';
import { generateOrders } from '../../server/src/domains/orders/order-generator.ts';
import { cancelledFromLog } from '../../server/src/domains/orders/order-log-queries.ts';
import { idSpan } from '../../server/src/domains/orders/order-walk.ts';
import { ordersPage } from '../../server/src/domains/orders/orders-queries.ts';
import { acquireEmbedded, type EmbeddedServer } from '../../server/src/storage/embedded/embedded-postgres.ts';
import { migrate } from '../../server/src/storage/migrator.ts';
import { ensureMonths, readyMonths } from '../../server/src/storage/partitions.ts';
import { dynamic, sql } from '../../server/src/storage/sql.ts';
import { runCommand } from '../harness/command.ts';
import { openDatabase } from '../harness/database.ts';
import { peakMemoryMb, startServer } from '../harness/processes.ts';
import { against, alone, type Figures, median } from '../report.ts';
import type { Scale } from '../scale.ts';
import { bodyOf, copyRows, encodeRows, sendBulk } from './bulk.ts';
import { cachedPageFigure, findPaths, measureReads, pageDepth, type ReadRates, readFigures } from './reads.ts';
import { type OrdersScale, ordersScales } from './scale.ts';
import { singleFigures } from './single.ts';

type Log = (line: string) => void;

/** The reads are to be the database's. */
const uncached = { MILLIARD_CACHE: 'off' };

/** Everything on one embedded PostgreSQL with its standard settings (fsync on), in a folder that is removed afterwards. */
export async function ordersBench(scaleName: Scale, log: Log): Promise<Figures> {
  const scale = ordersScales[scaleName];
  const dataDir = await mkdtemp(join(tmpdir(), 'milliard-bench-'));
  const embedded = await acquireEmbedded({ dataDir, purpose: 'bench' });
  try {
    await migrate({ url: embedded.url });
    const few = scale.growthFrom === null ? null : await readsOfFew(dataDir, scale.growthFrom, scale);
    return {
      ...(await step(log, 'bulk over HTTP against COPY', () => bulkFigures(embedded, scale))),
      ...(await step(log, 'orders generate', () => generateFigures(dataDir, scale))),
      ...(await step(log, 'single writes', () => singleFigures(dataDir, scale, log))),
      ...(await step(log, 'reads', () => servedFigures(dataDir, scale, few))),
      ...(await step(log, 'cancelled orders from the log', () => logFigures(embedded))),
    };
  } finally {
    await embedded.release();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function step(log: Log, name: string, work: () => Promise<Figures>): Promise<Figures> {
  const startedMs = performance.now();
  const figures = await work();
  log(`${name}: ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
  return figures;
}

/** Orders over the past 23 months. */
export const someOrders = (count: number, seed: number): NewOrder[] => [
  ...generateOrders({
    count,
    customers: 20_000,
    zipf: 0.8,
    from: (Date.now() - 700 * dayMs) as Instant,
    to: (Date.now() - dayMs) as Instant,
    cancelledShare: 0.08,
    seed,
    currency: 'EUR' as Currency,
  }),
];

/** The same orders by turns over HTTP and by COPY into the same tables of another database on the same server. */
async function bulkFigures(embedded: EmbeddedServer, scale: OrdersScale): Promise<Figures> {
  const admin = openDatabase(embedded.url);
  await admin.session((session) => session.script('create database copied'));
  await admin.close();
  const copiedUrl = embedded.url.replace('/milliard?', '/copied?');
  if (copiedUrl === embedded.url) throw new Error('the baseline needs a database of its own');
  await migrate({ url: copiedUrl });
  const copied = openDatabase(copiedUrl);
  await ensureMonths(copied, readyMonths(Date.now() as Instant));
  await using server = await startServer(embedded.dataDir);
  const rates: { bulk: number; copy: number }[] = [];
  for (let round = 0; round < scale.bulkRounds; round++) {
    const orders = someOrders(scale.bulkOrders, 1_000 + round);
    const [body, parts] = [bodyOf(orders), encodeRows(orders)];
    const copySeconds = await copyRows(copied, parts);
    const { seconds: bulkSeconds } = await sendBulk(server.url, body, orders.length);
    rates.push({ bulk: orders.length / bulkSeconds, copy: orders.length / copySeconds });
  }
  const peakMb = peakMemoryMb(server.pid);
  await copied.close();
  return {
    bulk: {
      ...against(median(rates.map((r) => r.bulk)), median(rates.map((r) => r.copy)), {
        unit: 'orders/s',
        goal: '>= 0.6 of COPY',
      }),
      ratio: Number(median(rates.map((r) => r.bulk / r.copy)).toPrecision(3)),
    },
    import_rss_mb: alone(peakMb ?? Number.NaN, {
      unit: `MB, server at its peak over ${scale.bulkOrders * scale.bulkRounds} orders`,
      goal: '<= 300',
    }),
  };
}

async function generateFigures(dataDir: string, scale: OrdersScale): Promise<Figures> {
  const args = ['orders', 'generate', '--count', String(scale.orders), '--data-dir', dataDir, '--json'];
  const { seconds } = await runCommand(args);
  return {
    generate: alone(scale.orders / seconds, { unit: 'orders/s, whole process', goal: '>= 25,000 (1 M in 40 s)' }),
  };
}

/** The rates of reads while there are few orders, to be compared with those among all. */
async function readsOfFew(dataDir: string, count: number, scale: OrdersScale): Promise<ReadRates> {
  await runCommand(['orders', 'generate', '--count', String(count), '--seed', '1', '--data-dir', dataDir, '--json']);
  await using server = await startServer(dataDir, uncached);
  // Awaited here: the server is stopped when this function ends.
  return await measureReads(server.url, await findPaths(server.url, 40), scale.loadSeconds);
}

async function servedFigures(dataDir: string, scale: OrdersScale, few: ReadRates | null): Promise<Figures> {
  await using server = await startServer(dataDir, uncached);
  const { figures, rates } = await readFigures(server.url, scale.loadSeconds);
  await using caching = await startServer(dataDir);
  return {
    ...figures,
    ...(await cachedPageFigure({ cached: caching.url, uncached: server.url }, scale.loadSeconds)),
    ...growthFigures(rates, few, scale),
    ...(await pageDepth(server.url)),
  };
}

/** How much longer a read takes among all orders than among few: the inverse of the rates. */
function growthFigures(many: ReadRates, few: ReadRates | null, scale: OrdersScale): Figures {
  if (few === null) return {};
  return Object.fromEntries(
    (Object.keys(many) as (keyof ReadRates)[]).map((name) => [
      `growth_${name}`,
      against(1e6 / many[name], 1e6 / few[name], {
        unit: `us a request at ${scale.orders.toLocaleString('en')} orders, against ${scale.growthFrom?.toLocaleString('en')}`,
        goal: '<= 1.3 times',
      }),
    ]),
  );
}

/** The first page of cancelled orders by the history alone, against the copied status; in the database, median of 20. */
async function logFigures(embedded: EmbeddedServer): Promise<Figures> {
  const db = openDatabase(embedded.url);
  await db.query(dynamic(sql`analyze orders, order_statuses`));
  const span = idSpan(null, null);
  const time = async (work: () => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      const startedMs = performance.now();
      await work();
      times.push(performance.now() - startedMs);
    }
    return median(times);
  };
  const log = await time(() => db.query(cancelledFromLog(span, 50)));
  const selection = { statuses: ['cancelled' as const], customer: null };
  const copy = await time(() => db.query(ordersPage(selection, { ...span, direction: 'newest' }, 50)));
  await db.close();
  return { cancelled_from_log: against(log, copy, { unit: 'ms a page (baseline: from the copied status)' }) };
}
