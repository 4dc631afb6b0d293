import type { OrderId } from '../../core/ids.ts';
import { announceChanges } from '../../storage/cache/announcement.ts';
import type { Transaction } from '../../storage/transaction.ts';

/** The cache of single orders. */
export const ordersCache = 'orders';

/** Tells every server of orders that change in this transaction. A new order need not be told: nobody knew its id before. */
export const announceOrders = (tx: Transaction, ids: readonly OrderId[]): Promise<void> =>
  announceChanges(tx, { cache: ordersCache, keys: ids });
