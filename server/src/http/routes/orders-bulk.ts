import { z } from 'zod';
import type { WriteOutcome } from '../../domains/orders/order-batch-service.ts';
import { orderWithHistory } from '../../domains/orders/order-submission.ts';
import type { OrderToWrite, OrderWriter } from '../../domains/orders/order-write-service.ts';
import { refusalMessages } from '../../domains/orders/orders-service.ts';
import type { Caller } from '../authenticate.ts';
import { type ReadRow, rejectedRow, rejectionOf } from '../bulk-parts.ts';
import { addBulkRoute, outcomeLine } from '../bulk-route.ts';
import type { BulkKind, BulkSummary } from '../bulk-run.ts';
import type { HttpDeps, Routes } from '../http-types.ts';

const row = orderWithHistory.meta({
  id: 'BulkRow',
  description: 'An order; with `statuses` (its history) the key needs the scope orders:import.',
});

const answerLine = outcomeLine('BulkOutcome', {
  outcomes: ['created', 'replayed', 'rejected'],
  fields: { order_id: z.string().optional() },
  sums: { rows: z.int(), created: z.int(), replayed: z.int(), rejected: z.int(), statuses_added: z.int() },
});

/** Many orders in one request. */
export async function addOrderBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  await addBulkRoute(routes, deps, {
    url: '/orders/bulk',
    tag: 'orders',
    summary: 'Create many orders',
    description:
      'NDJSON of any length, or a JSON array of up to 1,000 orders; gzip as Content-Encoding. Rows are stored in parts of 2,000 lines, each whole or not at all. The answer is NDJSON: outcomes and a closing line `{"summary": …}`. **No summary line means: send it again**; rows with an order_number are recognised, and with the header Idempotency-Key the others too (their key is `<Idempotency-Key>/<line>`).',
    scope: 'orders:write',
    row,
    answerLine,
    name: 'orders',
    readRow: ({ caller, requestKey }) => readRow(caller, requestKey),
    kind: () => orderKind(deps.app.orders.writer),
  });
}

/** @param requestKey the Idempotency-Key of the request: rows without a number get `<key>/<line>` */
const readRow =
  (caller: Caller, requestKey: string | null): ReadRow<OrderToWrite> =>
  (document, line) => {
    const parsed = orderWithHistory.safeParse(document);
    if (!parsed.success) return rejectedRow(line, rejectionOf(parsed.error));
    const order = parsed.data;
    if (order.statuses !== null && !caller.mayImport) {
      const detail = 'A row with `statuses` needs the scope orders:import.';
      return rejectedRow(line, { code: 'forbidden', detail });
    }
    const item: OrderToWrite = {
      order,
      requestKey: requestKey === null ? null : `${requestKey}/${line}`,
      actor: order.statuses === null ? caller.actor : caller.importActor,
    };
    return { line, item, rejection: null };
  };

interface OrderSummary extends BulkSummary {
  created: number;
  replayed: number;
  statuses_added: number;
}

const orderKind = (writer: OrderWriter): BulkKind<OrderToWrite, WriteOutcome, OrderSummary> => ({
  summary: () => ({ rows: 0, created: 0, replayed: 0, rejected: 0, statuses_added: 0 }),
  outcomes: ['created', 'replayed'],
  parts: 'overlapping',
  write: (orders) => writer.write(orders, { by: 'copy', olderMonths: 'refuse' }),
  tell(outcome, summary) {
    if (outcome.kind === 'refused') {
      const detail =
        outcome.code in refusalMessages
          ? refusalMessages[outcome.code as keyof typeof refusalMessages]
          : 'The order was refused.';
      // The order that has this row's key already.
      const stored = outcome.orderId === null ? {} : { order_id: outcome.orderId };
      return { ...stored, code: outcome.code, detail };
    }
    summary[outcome.kind]++;
    if (outcome.kind === 'replayed') summary.statuses_added += outcome.statusesAdded;
    const orderId = outcome.kind === 'created' ? outcome.order.orderId : outcome.orderId;
    return `"outcome":"${outcome.kind}","order_id":"${orderId}"`;
  },
});
