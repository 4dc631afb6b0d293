import type { CsvRow } from '../../core/csv-reader.ts';
import type { BatchResult } from '../../jobs/job.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { bindCsv, type CsvReading, csvLine } from './order-import-csv.ts';
import type { ImportedOrder, ReadOrder, RejectedLine } from './order-import-part.ts';
import type { ImportPlan } from './order-import-plan.ts';
import { explainRefusal } from './order-import-service.ts';
import type { ImportStore } from './order-import-store-service.ts';
import { createImportTally, type ImportSummary } from './order-import-tally.ts';
import type { OrderWriter } from './order-write-service.ts';

export interface ImportApplyDeps {
  readonly store: ImportStore;
  readonly writer: OrderWriter;
  readonly reading: CsvReading;
  readonly rehearsal: boolean;
}

/** Does one batch of an import. */
export function createImportApply(deps: ImportApplyDeps): (tx: Transaction, plan: ImportPlan) => Promise<BatchResult> {
  return async (tx, plan) => {
    switch (plan.kind) {
      case 'rows':
        return putRowsAway(deps, tx, plan.rows);
      case 'orders':
        return writeOrders(deps, tx, plan);
      case 'all rows are read':
        await deps.store.prepareOrders(tx);
        return { counts: {} };
      case 'nothing':
        return { counts: {} };
    }
  };
}

/** Rows that belong to no order are rejected at once. */
async function putRowsAway(
  { store, reading }: ImportApplyDeps,
  tx: Transaction,
  rows: readonly CsvRow[],
): Promise<BatchResult> {
  const { header } = await store.file(tx.run);
  const { bound } = bindCsv({ line: 1, cells: header, fault: null }, reading);
  const staged: { key: string; row: CsvRow }[] = [];
  const rejected: RejectedLine[] = [];
  for (const row of rows) {
    const group = bound.groupOf(row);
    if (typeof group === 'string') staged.push({ key: group, row });
    else rejected.push({ ...csvLine(row, header), ...group });
  }
  await store.putRows(tx, staged);
  await store.putRejected(tx, rejected);
  return { counts: { rows: rows.length, rows_rejected: rejected.length } };
}

async function writeOrders(
  { store, writer, rehearsal }: ImportApplyDeps,
  tx: Transaction,
  { orders, rows }: { readonly orders: readonly ReadOrder[]; readonly rows: number },
): Promise<BatchResult> {
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
  await store.putRejected(tx, rejected);
  return { counts: countsOf({ ...tally.summary(), rows }) };
}

/** As they stand with the run. */
const countsOf = (summary: ImportSummary) => ({
  rows: summary.rows,
  rows_rejected: summary.rowsRejected,
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
