import { plainLayout } from '../../server/src/core/customer-layout.ts';
import type { Currency } from '../../server/src/core/money.ts';
import { formatInstant, systemClock } from '../../server/src/core/time.ts';
import type { NewOrder } from '../../server/src/domains/orders/order.ts';
import { copyOrderKeys, keyValues } from '../../server/src/domains/orders/order-keys-queries.ts';
import { type PlacedOrder, placeOrder } from '../../server/src/domains/orders/order-placement.ts';
import { copyStatuses, statusValues } from '../../server/src/domains/orders/order-statuses-queries.ts';
import { copyOrders, orderValues } from '../../server/src/domains/orders/orders-queries.ts';
import { copyChunks } from '../../server/src/storage/copy.ts';
import type { Database } from '../../server/src/storage/database.ts';
import { type Uploaded, upload } from '../harness/upload.ts';

const partRows = 20_000;

/** An order as a client writes it, one line of NDJSON. */
function documentOf(order: NewOrder): string {
  return JSON.stringify({
    customer_id: order.customerId,
    order_number: order.orderNumber ?? undefined,
    placed_at: order.placedAt === null ? undefined : formatInstant(order.placedAt),
    currency: order.currency ?? undefined,
    items: order.items,
    statuses: order.statuses?.map((row) => ({
      status: row.status,
      occurred_at: formatInstant(row.occurredAt),
      reason: row.reason ?? undefined,
    })),
  });
}

/** A body in chunks of about 64 kB, made before the clock starts. */
export function bodyOf(orders: readonly NewOrder[]): Buffer[] {
  const chunks: Buffer[] = [];
  let text = '';
  for (const order of orders) {
    text += `${documentOf(order)}\n`;
    if (text.length > 65_536) {
      chunks.push(Buffer.from(text));
      text = '';
    }
  }
  chunks.push(Buffer.from(text));
  return chunks;
}

/** Sends a bulk request. @returns how it went. @throws Error unless every row was created */
export async function sendBulk(url: string, body: readonly Buffer[], rows: number): Promise<Uploaded> {
  const answer = await upload({ url: `${url}/api/v1/orders/bulk`, type: 'application/x-ndjson', body });
  if (answer.summary['created'] !== rows)
    throw new Error(`bulk did not create ${rows} orders: ${JSON.stringify(answer.summary)}`);
  return answer;
}

interface EncodedPart {
  readonly keys: Buffer[];
  readonly orders: Buffer[];
  readonly statuses: Buffer[];
}

/** The rows that the same orders make, encoded for COPY before the clock starts. */
export function encodeRows(orders: readonly NewOrder[]): EncodedPart[] {
  const now = systemClock.now();
  const placed = orders.map((order) =>
    placeOrder(order, null, {
      now,
      placedAt: order.placedAt ?? now,
      actor: 'bench',
      defaultCurrency: 'EUR' as Currency,
      layouts: [plainLayout],
      chance: 0,
    }),
  );
  const parts: EncodedPart[] = [];
  for (let i = 0; i < placed.length; i += partRows) parts.push(encodePart(placed.slice(i, i + partRows)));
  return parts;
}

const encodePart = (placed: readonly PlacedOrder[]): EncodedPart => ({
  keys: [
    ...copyChunks(
      placed.flatMap(({ key, order, contentHash }) =>
        key === null ? [] : [{ ...key, orderId: order.orderId, contentHash }],
      ),
      keyValues,
    ),
  ],
  orders: [...copyChunks(placed, orderValues)],
  statuses: [
    ...copyChunks(
      placed.flatMap(({ order, history }) => history.map((row) => statusValues(order.orderId, row))),
      (values) => values,
    ),
  ],
});

/** COPY of the rows into the same three tables, a transaction for each 20,000 orders. @returns seconds */
export async function copyRows(db: Database, parts: readonly EncodedPart[]): Promise<number> {
  const startedMs = performance.now();
  for (const part of parts) {
    await db.transaction(async (tx) => {
      await tx.copyIn(copyOrderKeys, part.keys);
      await tx.copyIn(copyOrders, part.orders);
      await tx.copyIn(copyStatuses, part.statuses);
    });
  }
  return (performance.now() - startedMs) / 1_000;
}
