import type { ColumnMap } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import type { RowFault } from '../../core/import-line.ts';
import type { Currency } from '../../core/money.ts';
import { fieldErrorsOf } from '../../core/validation.ts';
import type { NewOrder } from './order.ts';
import { orderWithHistory } from './order-submission.ts';

/** A row that was not imported and why. */
export interface RejectedRow {
  readonly row: CsvRow;
  /** Stable and machine-readable: `price_negative`. */
  readonly code: string;
  readonly detail: string;
}

/** What the rows of one order make: the order from those that are not rejected, null when there is none. */
export interface OrderFromRows {
  readonly order: NewOrder | null;
  readonly rejected: readonly RejectedRow[];
}

/** How a CSV file is read: which rows belong together and what they mean. */
export interface ImportPreset {
  /** The fields of an order that columns may be mapped to; none where the columns are what they are. */
  readonly fields: readonly string[];
  /** @throws ImportFileError when the file has not the columns of this preset, or not those of `options.map` */
  bind(header: readonly string[], options: BindOptions): BoundPreset;
}

export interface BindOptions {
  readonly defaultCurrency: Currency;
  /** Columns under other names, by `fields`. */
  readonly map?: ColumnMap;
}

export interface BoundPreset {
  /** Columns of the file that are not used. */
  readonly unused: readonly string[];
  /** Which column each field is read from, null where the file has none. */
  readonly mapping: Readonly<Record<string, string | null>>;
  /** Whether a rejected row takes its order with it; otherwise the order keeps its other rows. */
  readonly rejectsWholeOrders: boolean;
  /** Rows with the same key are one order. A row without is rejected at once. */
  groupOf(row: CsvRow): string | RowFault;
  /** Judges the rows of one order, in the order of the file. */
  orderOf(rows: readonly CsvRow[]): OrderFromRows;
}

/** An order as the API takes it, made from rows: item N comes from row N. */
export interface RowsDocument {
  readonly customer_id: string;
  readonly order_number: string;
  readonly placed_at: string;
  readonly currency?: string;
  readonly items: readonly { sku: string; name?: string; quantity: number; unit_price: number }[];
  readonly statuses?: readonly { status: string; occurred_at: string; reason?: string }[];
}

/** Judges a document as the API would. Faults of an item belong to its row, all others to every row. */
export function submitRows(document: RowsDocument, rows: readonly CsvRow[]): OrderFromRows {
  const result = orderWithHistory.safeParse(document);
  if (result.success) return { order: result.data, rejected: [] };
  const rejected = new Map<CsvRow, RejectedRow>();
  for (const { pointer, detail } of fieldErrorsOf(result.error)) {
    const [, field = 'order', index, part] = pointer.split('/');
    const own = field === 'items' && index !== undefined ? rows[Number(index)] : undefined;
    const name = own === undefined ? field : (part ?? 'item');
    const fault = { code: `${name}_invalid`, detail: `${name}: ${detail}` };
    for (const row of own === undefined ? rows : [own]) if (!rejected.has(row)) rejected.set(row, { row, ...fault });
  }
  return { order: null, rejected: [...rejected.values()] };
}
