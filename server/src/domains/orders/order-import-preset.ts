import type { CsvRow } from '../../core/csv-reader.ts';
import { type Currency, parseMajorUnits } from '../../core/money.ts';
import { fieldErrorsOf } from '../../core/validation.ts';
import type { NewOrder } from './order.ts';
import type { ColumnMap } from './order-csv-columns.ts';
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
  groupOf(row: CsvRow): string | { readonly code: string; readonly detail: string };
  /** Judges the rows of one order, in the order of the file. */
  orderOf(rows: readonly CsvRow[]): OrderFromRows;
}

export interface RowFault {
  readonly code: string;
  readonly detail: string;
}

/** A price in major units as minor ones, or why it is none. */
export function readPrice(text: string, currency: Currency): number | RowFault {
  const price = parseMajorUnits(text, currency);
  if (typeof price === 'number') return price;
  switch (price) {
    case 'negative':
      return { code: 'price_negative', detail: `the price ${text} is negative` };
    case 'finer_than_minor_unit':
      return { code: 'price_too_fine', detail: `the price ${text} is finer than the smallest coin of ${currency}` };
    case 'too_large':
      return { code: 'price_too_large', detail: `the price ${text} is too large` };
    case 'not_a_number':
      return { code: 'price_invalid', detail: `the price "${text}" is not a number such as 25 or 25.00` };
  }
}

/** A whole quantity other than 0, of either sign, or why it is none. */
export function readQuantity(text: string): number | RowFault {
  if (!/^[+-]?\d{1,16}(\.0*)?$/.test(text)) {
    return { code: 'quantity_invalid', detail: `the quantity "${text}" is not a whole number` };
  }
  const quantity = Number(text);
  return quantity === 0 ? { code: 'quantity_zero', detail: 'the quantity is 0' } : quantity;
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
