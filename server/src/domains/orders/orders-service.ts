import { DomainError } from '../../core/errors.ts';
import { bucketOfId, type OrderId } from '../../core/ids.ts';
import type { Currency } from '../../core/money.ts';
import type { Clock, Month } from '../../core/time.ts';
import { type Caches, noCaches } from '../../storage/cache/caches.ts';
import { type CustomerLayouts, drainingPatienceMs } from '../../storage/customer-layouts.ts';
import type { CustomerWrites } from '../../storage/customer-writes.ts';
import type { Database } from '../../storage/database.ts';
import { StorageError } from '../../storage/faults.ts';
import { createWriteQueue, type WriteQueueDeps } from '../../storage/group-commit.ts';
import type { Order } from './order.ts';
import type { WriteOutcome } from './order-batch-service.ts';
import type { OrderErrorCode } from './order-errors.ts';
import type { HistogramRow } from './order-histogram.ts';
import { type HistogramRequest, readHistogram } from './order-histogram-service.ts';
import { createOrderLookUps, type OrderLookUps } from './order-look-up-service.ts';
import { likelyHome } from './order-placement.ts';
import { createOrderReads, type OrderReads, orderNotFound } from './order-read-service.ts';
import { type ReportOutcome, recordReports, type StatusReport } from './order-status-report-service.ts';
import { type ReportedStatus, recordStatuses, refusalError, type StatusOutcome } from './order-status-service.ts';
import { createOrderWriter, type OrderToWrite, type OrderWriter } from './order-write-service.ts';

export interface OrdersDeps extends WriteQueueDeps {
  readonly db: Database;
  readonly layouts: CustomerLayouts;
  readonly writes: CustomerWrites;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
  /** Months that have partitions, oldest first. */
  readonly months: () => readonly Month[];
  /** Left out: every look-up asks the database. */
  readonly caches?: Caches;
}

/** What became of one order that was sent. */
export interface CreatedOrder {
  readonly order: Order;
  readonly replayed: boolean;
}

/** What became of one status that was reported, with the order as it stands after it. */
export interface RecordedStatus {
  readonly outcome: 'recorded' | 'late' | 'unchanged' | 'replayed';
  readonly order: Order;
}

export interface Orders extends OrderReads, OrderLookUps {
  /** Counts and totals by hour or day, status and currency. @throws DomainError `histogram_too_large` */
  readHistogram(request: HistogramRequest): Promise<HistogramRow[]>;
  /** Through group commit. @throws DomainError `order_key_reused`, `placed_at_out_of_range`, `row_refused` */
  createOrder(order: OrderToWrite): Promise<CreatedOrder>;
  /** Through group commit. @throws DomainError `order_not_found` and the refusals of order-status.ts */
  recordStatus(event: ReportedStatus): Promise<RecordedStatus>;
  /** Many statuses in one transaction, each judged by the rules of a single one: bulk requests and files. */
  recordReports(reports: readonly StatusReport[]): Promise<ReportOutcome[]>;
  /** Many orders in one transaction: bulk requests and imports. */
  readonly writer: OrderWriter;
  /** Writes that wait for their transaction, by queue. */
  queued(): { readonly orders: number; readonly statuses: number };
  /** Takes no more single writes and waits for those it took. */
  drain(): Promise<void>;
}

export function createOrders(deps: OrdersDeps): Orders {
  const { layouts } = deps;
  const reads = createOrderReads(deps);
  const lookUps = createOrderLookUps(deps.caches ?? noCaches, reads);
  const { forgetOrders } = lookUps;
  const writer = forgetting(createOrderWriter(deps), forgetOrders);
  const orderQueue = createWriteQueue<OrderToWrite, WriteOutcome | 'moving'>(deps, {
    name: 'orders',
    // The queue halves: it knows which callers already have their answer, so no half is ever written twice.
    commit: (rows, near) => writer.writeCollected(rows, near),
    bucketOf: ({ order, requestKey }) => likelyHome(order, requestKey, layouts.layoutsOf(order.customerId)),
  });
  /** Who waits for a customer that is being moved waits apart: the orders of others go on. */
  const writeOne = async (order: OrderToWrite): Promise<WriteOutcome> => {
    const deadlineMs = performance.now() + drainingPatienceMs;
    for (;;) {
      const outcome = await orderQueue.write(order);
      if (outcome !== 'moving') return outcome;
      await writer.whenWritable(order.order.customerId, deadlineMs);
    }
  };
  const statusQueue = createWriteQueue<ReportedStatus, StatusOutcome>(deps, {
    name: 'statuses',
    async commit(events, near) {
      const outcomes = await recordStatuses(deps, events, near);
      forgetOrders(events.map(({ orderId }) => orderId));
      return outcomes;
    },
    bucketOf: ({ orderId }) => bucketOfId(orderId),
  });

  return {
    ...reads,
    ...lookUps,
    readHistogram: (request) => readHistogram(deps, request),
    writer,
    async createOrder(order) {
      const outcome = await writeOne(order).catch(refuseBadRow);
      if (outcome.kind === 'created') return { order: outcome.order, replayed: false };
      if (outcome.kind === 'replayed') return { order: await reads.getOrder(outcome.orderId), replayed: true };
      throw refusedWrite(outcome.code, outcome.orderId);
    },
    async recordStatus(event) {
      const outcome = await statusQueue.write(event).catch(refuseBadRow);
      if (outcome.kind === 'not_found') throw orderNotFound(event.orderId);
      if (outcome.kind === 'refused') throw refusalError(outcome.code, outcome.state);
      return { outcome: outcome.kind, order: await reads.getOrder(event.orderId) };
    },
    async recordReports(reports) {
      const outcomes = await recordReports(deps, reports);
      forgetOrders(outcomes.flatMap(({ orderId }) => (orderId === null ? [] : [orderId])));
      return outcomes;
    },
    queued: () => ({ orders: orderQueue.queued(), statuses: statusQueue.queued() }),
    async drain() {
      await Promise.all([orderQueue.drain(), statusQueue.drain()]);
    },
  };
}

/**
 * A writer that forgets what it changed before anybody is told, replays included: perhaps the commit that stored them was lost from sight.
 * What is written in a transaction of the caller's is announced when that commits.
 */
const forgetting = (writer: OrderWriter, forget: (ids: readonly OrderId[]) => void): OrderWriter => {
  const forgotten = <Outcome extends WriteOutcome | 'moving'>(outcomes: Outcome[]): Outcome[] => {
    forget(
      outcomes.flatMap((outcome) => (outcome !== 'moving' && outcome.kind === 'replayed' ? [outcome.orderId] : [])),
    );
    return outcomes;
  };
  return {
    ...writer,
    write: async (orders, options) => forgotten(await writer.write(orders, options)),
    writeCollected: async (orders, near) => forgotten(await writer.writeCollected(orders, near)),
  };
};

/** A row that the database refuses is the sender's affair, not a fault of the database. */
function refuseBadRow(error: unknown): never {
  if (error instanceof StorageError && error.fault?.kind === 'data') {
    throw refusedWrite('row_refused', null);
  }
  throw error;
}

/** Why an order was refused, in a sentence for whoever sent it. */
export const refusalMessages = {
  order_key_reused:
    'This key belongs to an order of this customer with another content. Use a new key for a new order.',
  placed_at_out_of_range:
    'placed_at must lie within the past 24 months and at most 5 minutes ahead. Older orders are loaded by `milliard orders import`.',
  occurred_at_in_future: 'A status of the history is more than 5 minutes ahead of the server.',
  row_refused: 'The database refused this order.',
} as const satisfies Partial<Record<OrderErrorCode, string>>;

export type WriteRefusal = keyof typeof refusalMessages;

function refusedWrite(code: OrderErrorCode, orderId: OrderId | null): DomainError<OrderErrorCode> {
  const message = code in refusalMessages ? refusalMessages[code as WriteRefusal] : 'The order was refused.';
  return new DomainError<OrderErrorCode>(code, message, orderId === null ? {} : { order_id: orderId });
}
