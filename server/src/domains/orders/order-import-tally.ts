import type { RejectedLine } from '../../core/import-line.ts';
import type { ImportPart, RejectionCounter } from './order-import-part.ts';

/** Counts of an import. */
export interface ImportSummary {
  /** Lines of the file, without the first of a CSV file and without blank ones. */
  readonly rows: number;
  readonly rowsRejected: number;
  readonly ordersCreated: number;
  /** Orders that were there already, with the same content. */
  readonly ordersReplayed: number;
  readonly ordersRejected: number;
  /** Items of the orders created and replayed. */
  readonly items: number;
  /** Rows of histories that were missing in orders that were there already. */
  readonly statusesAdded: number;
}

/** What the database made of an order. */
export type ImportOutcome =
  | { readonly kind: 'created' }
  | { readonly kind: 'replayed'; readonly statusesAdded: number }
  | { readonly kind: 'refused'; readonly code: string };

/** Counts while an import runs. */
export interface ImportTally extends RejectionCounter {
  rows(): number;
  rejectedRows(): number;
  countRow(): void;
  /** Counts a part that was written; an order that was refused takes its lines with it. */
  settle(part: ImportPart, outcomes: readonly ImportOutcome[]): Promise<void>;
  summary(): ImportSummary;
}

export interface ImportTallyDeps {
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
  /** Why an order was refused, in words. */
  readonly explain: (code: string) => string;
}

export function createImportTally({ onRejected, explain }: ImportTallyDeps): ImportTally {
  const counts = {
    rows: 0,
    rowsRejected: 0,
    ordersCreated: 0,
    ordersReplayed: 0,
    ordersRejected: 0,
    items: 0,
    statusesAdded: 0,
  };
  const reject = async (line: RejectedLine): Promise<void> => {
    counts.rowsRejected++;
    await onRejected(line);
  };
  return {
    rows: () => counts.rows,
    rejectedRows: () => counts.rowsRejected,
    countRow: () => void counts.rows++,
    countRejectedOrder: () => void counts.ordersRejected++,
    reject,
    async settle(part, outcomes) {
      for (const [i, { order, lines }] of part.entries()) {
        const outcome = outcomes[i];
        if (outcome === undefined) throw new RangeError('Each order has an outcome.');
        if (outcome.kind === 'refused') {
          counts.ordersRejected++;
          for (const line of lines) await reject({ ...line, code: outcome.code, detail: explain(outcome.code) });
          continue;
        }
        counts.items += order.items.length;
        if (outcome.kind === 'created') counts.ordersCreated++;
        else {
          counts.ordersReplayed++;
          counts.statusesAdded += outcome.statusesAdded;
        }
      }
    },
    summary: () => ({ ...counts }),
  };
}
