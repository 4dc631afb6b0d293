import { z } from 'zod';
import { orderStatuses } from '../../domains/orders/order-status.ts';
import type { ReportOutcome, StatusReport } from '../../domains/orders/order-status-report-service.ts';
import { referencedStatus } from '../../domains/orders/order-status-submission.ts';
import type { Orders } from '../../domains/orders/orders-service.ts';
import type { Caller } from '../authenticate.ts';
import { type ReadRow, rejectedRow, rejectionOf } from '../bulk-parts.ts';
import { addBulkRoute, outcomeLine } from '../bulk-route.ts';
import type { BulkKind, BulkSummary } from '../bulk-run.ts';
import type { HttpDeps, Routes } from '../http-types.ts';
import { orderExample } from '../order-representation.ts';

const row = referencedStatus.meta({
  id: 'BulkStatusRow',
  description: 'A status and its order: by order_id, or by customer_id and order_number.',
  'x-examples': [
    { order_id: orderExample.order_id, status: 'complete', occurred_at: '2026-06-30T12:31:00Z', event_key: 'paid-17' },
    { customer_id: 'CUST789', order_number: 'ORD123456', status: 'cancelled', reason: 'customer_return' },
  ],
});

const outcomes = ['recorded', 'late', 'unchanged', 'replayed'] as const;

const answerLine = outcomeLine('BulkStatusOutcome', {
  outcomes: [...outcomes, 'rejected'],
  fields: {
    order_id: z.string().optional(),
    status: z.enum(orderStatuses).optional().meta({ description: 'What the order has after this row.' }),
    current: z.enum(orderStatuses).optional().meta({ description: 'Of a rejected row: what the order has.' }),
    allowed: z.array(z.enum(orderStatuses)).optional(),
    version: z.int().optional(),
  },
  sums: {
    rows: z.int(),
    recorded: z.int(),
    late: z.int(),
    unchanged: z.int(),
    replayed: z.int(),
    rejected: z.int(),
  },
});

/** Many statuses in one request. */
export async function addOrderStatusBulkRoute(routes: Routes, deps: HttpDeps): Promise<void> {
  await addBulkRoute(routes, deps, {
    url: '/order-statuses/bulk',
    tag: 'orders',
    summary: 'Report many statuses',
    description:
      'NDJSON of any length, or a JSON array of up to 1,000 rows; gzip as Content-Encoding. Each row is judged as by POST /orders/{id}/status; rows of one order one after another, in the order they are sent. Rows are stored in parts of 2,000 lines, each whole or not at all, one part after another. The answer is NDJSON: outcomes and a closing line `{"summary": …}`. **No summary line means: send it again**: rows with an event_key are recognised, and with the header Idempotency-Key the others too (their event_key is `<Idempotency-Key>/<line>`).',
    scope: 'orders:write',
    row,
    answerLine,
    name: 'order_statuses',
    readRow: ({ caller, requestKey }) => readRow(caller, requestKey),
    kind: () => statusKind(deps.app.orders),
  });
}

/** @param requestKey the Idempotency-Key of the request: rows without an event_key get `<key>/<line>` */
const readRow =
  (caller: Caller, requestKey: string | null): ReadRow<StatusReport> =>
  (document, line) => {
    const parsed = referencedStatus.safeParse(document);
    if (!parsed.success) return rejectedRow(line, rejectionOf(parsed.error));
    const { reference, event } = parsed.data;
    const eventKey = event.eventKey ?? (requestKey === null ? null : `${requestKey}/${line}`);
    return { line, item: { reference, event: { ...event, eventKey }, actor: caller.actor }, rejection: null };
  };

interface StatusSummary extends BulkSummary {
  recorded: number;
  late: number;
  unchanged: number;
  replayed: number;
}

const statusKind = (orders: Orders): BulkKind<StatusReport, ReportOutcome, StatusSummary> => ({
  summary: () => ({ rows: 0, recorded: 0, late: 0, unchanged: 0, replayed: 0, rejected: 0 }),
  outcomes,
  // An order may have rows in several parts, and the earlier ones decide what the later ones may do.
  parts: 'in_order',
  write: (reports) => orders.recordReports(reports),
  tell(outcome, summary) {
    if (outcome.kind === 'refused') {
      const { orderId, error } = outcome;
      return {
        ...(orderId === null ? {} : { order_id: orderId }),
        ...error.facts,
        code: error.code,
        detail: error.message,
      };
    }
    summary[outcome.kind]++;
    return `"outcome":"${outcome.kind}","order_id":"${outcome.orderId}","status":"${outcome.status}"`;
  },
});
