import type { RejectedLine } from '../../core/import-line.ts';
import type { WrittenItems } from '../../jobs/imports/import-work.ts';
import type { Transaction } from '../../storage/transaction.ts';
import type { ImportedOrder, ReadOrder } from './order-import-part.ts';
import { explainRefusal } from './order-import-service.ts';
import { createImportTally, type ImportSummary } from './order-import-tally.ts';
import type { OrderWriter } from './order-write-service.ts';

export interface ImportApplyDeps {
  readonly writer: OrderWriter;
  readonly rehearsal: boolean;
}

/** Writes the orders of one batch of an import. */
export function createImportApply({
  writer,
  rehearsal,
}: ImportApplyDeps): (tx: Transaction, orders: readonly ReadOrder[]) => Promise<WrittenItems> {
  return async (tx, orders) => {
    const rejected: RejectedLine[] = [];
    const tally = createImportTally({ onRejected: (line) => void rejected.push(line), explain: explainRefusal });
    const part: ImportedOrder[] = [];
    for (const { order, lines, rejected: bad, isOrderRejected } of orders) {
      for (const line of bad) await tally.reject(line);
      if (isOrderRejected) tally.countRejectedOrder();
      if (order !== null) part.push({ order, lines });
    }
    const outcomes = await writer.writeIn(
      tx,
      part.map(({ order }) => ({ order, requestKey: null, actor: 'import' })),
      rehearsal ? 'within' : 'apart',
    );
    await tally.settle(part, outcomes);
    return { counts: countsOf(tally.summary()), rejected };
  };
}

/** As they stand with the run; rows are counted by the import. */
const countsOf = (summary: ImportSummary) => ({
  orders_created: summary.ordersCreated,
  orders_replayed: summary.ordersReplayed,
  orders_rejected: summary.ordersRejected,
  items: summary.items,
  statuses_added: summary.statusesAdded,
});

/** What the counts of a run say. */
export const summaryOf = (counts: Readonly<Record<string, number>>): ImportSummary => ({
  rows: counts['rows'] ?? 0,
  rowsRejected: counts['rows_rejected'] ?? 0,
  ordersCreated: counts['orders_created'] ?? 0,
  ordersReplayed: counts['orders_replayed'] ?? 0,
  ordersRejected: counts['orders_rejected'] ?? 0,
  items: counts['items'] ?? 0,
  statusesAdded: counts['statuses_added'] ?? 0,
});
