import { Readable } from 'node:stream';
import type { Currency } from '../core/money.ts';
import { createOrderImporter } from '../domains/orders/order-import-service.ts';
import type { OrderFilter } from '../domains/orders/order-read-service.ts';
import type { Orders } from '../domains/orders/orders-service.ts';
import type { Database } from '../storage/database.ts';
import { openInputFile } from './input-file.ts';
import { packagedFile } from './packaged-file.ts';
import { insertSampleMark, lastSampleMark } from './sample-data-queries.ts';

export interface SampleData {
  /** Orders that were loaded now; 0 when there were orders already. */
  readonly orders: number;
  readonly cancelled: number;
  readonly items: number;
  /** An order to look at, cancelled if there is one; null in an empty database. */
  readonly exampleOrderId: string | null;
  readonly exampleCustomerId: string | null;
}

export interface SampleDataOptions {
  /** Told what was loaded, in a sentence. */
  readonly report: (text: string) => void;
  readonly signal?: AbortSignal;
  /** The file; default: that of the package. */
  readonly file?: string;
}

/** What it works with; an App has all of it. */
export interface SampleDataDeps {
  readonly db: Database;
  readonly orders: Orders;
  readonly config: { readonly currency: Currency };
}

const fileName = 'online-retail.csv.gz';
const everything: OrderFilter = { statuses: [], customerId: null, orderNumber: null, placedFrom: null, placedTo: null };

/**
 * Loads the sample orders into a database without orders; does nothing to one that has some. Marks in the audit log tell a
 * loading that was cut off: the next one goes on, as what is there already is not loaded twice.
 */
export async function loadSampleData(app: SampleDataDeps, options: SampleDataOptions): Promise<SampleData> {
  const goesOn = (await app.db.query(lastSampleMark()))[0]?.action === 'sample_data.begin';
  if (goesOn) options.report('the sample data was not loaded to its end: going on with it');
  const loaded =
    goesOn || (await app.orders.countOrders(everything)).count === 0
      ? await betweenMarks(app.db, () => load(app, options))
      : { orders: 0, items: 0 };
  const cancelled = { ...everything, statuses: ['cancelled'] as const };
  const example = (await findNewest(app, cancelled)) ?? (await findNewest(app, everything));
  const { count } = await app.orders.countOrders(cancelled);
  if (loaded.orders > 0) {
    options.report(
      `loaded ${goesOn ? 'the other ' : ''}${loaded.orders.toLocaleString('en')} sample orders with ${loaded.items.toLocaleString('en')} items; ${count.toLocaleString('en')} orders are cancelled (Chen 2015, Online Retail, UCI, CC BY 4.0)`,
    );
  }
  return {
    ...loaded,
    cancelled: loaded.orders > 0 ? count : 0,
    exampleOrderId: example?.orderId ?? null,
    exampleCustomerId: example?.customerId ?? null,
  };
}

/** The first mark is stored before anything is loaded, the second when everything is. */
async function betweenMarks<T>(db: Database, work: () => Promise<T>): Promise<T> {
  await db.query(insertSampleMark('sample_data.begin'));
  const result = await work();
  await db.query(insertSampleMark('sample_data.end'));
  return result;
}

async function findNewest(app: SampleDataDeps, filter: OrderFilter) {
  const { items } = await app.orders.listOrders({ filter, direction: 'newest', limit: 1, after: null });
  return items[0] ?? null;
}

async function load(
  app: SampleDataDeps,
  { file, signal }: SampleDataOptions,
): Promise<{ orders: number; items: number }> {
  const input = await openInputFile(file ?? packagedFile(fileName), Readable.from([]));
  try {
    const importer = createOrderImporter({
      db: app.db,
      writer: app.orders.writer,
      defaultCurrency: app.config.currency,
    });
    const summary = await importer.importOrders({
      chunks: input.chunks,
      format: input.format,
      preset: 'online-retail',
      dryRun: false,
      signal: signal ?? new AbortController().signal,
      onProgress() {},
      // Returns without a sale and prices finer than a penny: known, and no concern of a newcomer.
      onRejected() {},
    });
    return { orders: summary.ordersCreated, items: summary.items };
  } finally {
    await input.close();
  }
}
