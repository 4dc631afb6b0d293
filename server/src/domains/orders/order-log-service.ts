import type { OrderId } from '../../core/ids.ts';
import type { Database } from '../../storage/database.ts';
import { cancelledFromLog, type LoggedStatus } from './order-log-queries.ts';
import { idSpan, spanAfter } from './order-walk.ts';

export interface LoggedPage {
  readonly items: readonly LoggedStatus[];
  /** Where the next page begins, null behind the last row. */
  readonly next: OrderId | null;
}

/** Reads statuses from the log alone: the oracle that the copied status of `orders` is compared with. */
export interface OrderLog {
  /** @param request `after`: the last id of the page before */
  listCancelled(request: { readonly after: OrderId | null; readonly limit: number }): Promise<LoggedPage>;
}

export const createOrderLog = (db: Database): OrderLog => ({
  async listCancelled({ after, limit }) {
    const all = idSpan(null, null);
    const span = after === null ? all : spanAfter(all, after, 'newest');
    const rows = await db.query(cancelledFromLog(span, limit + 1));
    const items = rows.slice(0, limit);
    return { items, next: rows.length > limit ? (items[items.length - 1]?.orderId ?? null) : null };
  },
});
