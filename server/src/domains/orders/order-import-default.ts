import { type BoundColumns, bindColumns } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import { readPrice, readQuantity } from '../../core/import-cells.ts';
import type { RowFault } from '../../core/import-line.ts';
import { type Currency, parseCurrency } from '../../core/money.ts';
import {
  type ImportPreset,
  type OrderFromRows,
  type RejectedRow,
  type RowsDocument,
  submitRows,
} from './order-import-preset.ts';

const columns = {
  order_number: { names: ['order_number', 'order_id'], required: true },
  customer_id: { names: ['customer_id'], required: true },
  placed_at: { names: ['placed_at', 'timestamp'], required: true },
  currency: { names: ['currency'], required: false },
  sku: { names: ['sku'], required: true },
  name: { names: ['name'], required: false },
  quantity: { names: ['quantity'], required: true },
  unit_price: { names: ['unit_price', 'price'], required: true },
  status: { names: ['status'], required: false },
  status_at: { names: ['status_at'], required: false },
  reason: { names: ['reason'], required: false },
} as const;
type Columns = BoundColumns<keyof typeof columns>;

/**
 * One row an item; rows with the same customer and order number are one order, wherever they stand. What belongs to the order
 * (placed_at, currency, status …) stands on one of its rows at least and nowhere differently. A rejected row rejects its
 * order, so that the mended rows can be sent again as a file of their own.
 */
export const defaultPreset: ImportPreset = {
  fields: Object.keys(columns),
  bind(header, { defaultCurrency, map }) {
    const bound = bindColumns(header, columns, map);
    return {
      unused: bound.unused,
      mapping: bound.mapping,
      rejectsWholeOrders: true,
      groupOf(row) {
        const customer = bound.cell(row.cells, 'customer_id');
        const number = bound.cell(row.cells, 'order_number');
        if (customer !== '' && number !== '') return JSON.stringify([customer, number]);
        if (row.fault !== null) return row.fault;
        const missing = number === '' ? 'order_number' : 'customer_id';
        return { code: `${missing}_missing`, detail: `${missing} is empty` };
      },
      orderOf: (rows) => orderOf(rows, bound, defaultCurrency),
    };
  },
};

function orderOf(rows: readonly CsvRow[], bound: Columns, defaultCurrency: Currency): OrderFromRows {
  const common = commonCells(rows, bound);
  if ('code' in common) return { order: null, rejected: rows.map((row) => ({ row, ...(row.fault ?? common) })) };
  const currency = parseCurrency(common.currency) ?? defaultCurrency;
  const items: RowsDocument['items'][number][] = [];
  const rejected: RejectedRow[] = [];
  for (const row of rows) {
    const item = row.fault ?? itemOf(row, bound, currency);
    if ('code' in item) rejected.push({ row, ...item });
    else items.push(item);
  }
  if (rejected.length > 0) return { order: null, rejected: withRest(rejected, rows) };
  const submitted = submitRows(documentOf(rows, items, { bound, common }), rows);
  return submitted.order === null ? { order: null, rejected: withRest(submitted.rejected, rows) } : submitted;
}

const orderColumns = ['placed_at', 'currency', 'status', 'status_at', 'reason'] as const;
type CommonCells = Record<(typeof orderColumns)[number], string>;

/** What belongs to the order: an empty cell says nothing, two different ones contradict each other. */
function commonCells(rows: readonly CsvRow[], bound: Columns): CommonCells | RowFault {
  const common: CommonCells = { placed_at: '', currency: '', status: '', status_at: '', reason: '' };
  for (const row of rows) {
    if (row.fault !== null) continue;
    for (const column of orderColumns) {
      const value = bound.cell(row.cells, column);
      if (value === '' || value === common[column]) continue;
      if (common[column] === '') common[column] = value;
      else
        return {
          code: 'conflicting_lines',
          detail: `${column} is ${common[column]} on one line of this order and ${value} on line ${row.line}`,
        };
    }
  }
  return common;
}

function itemOf({ cells }: CsvRow, bound: Columns, currency: Currency): RowsDocument['items'][number] | RowFault {
  const unit_price = readPrice(bound.cell(cells, 'unit_price'), currency);
  if (typeof unit_price !== 'number') return unit_price;
  const quantity = readQuantity(bound.cell(cells, 'quantity'));
  if (typeof quantity !== 'number') return quantity;
  if (quantity < 0) return { code: 'quantity_negative', detail: `the quantity ${quantity} is negative` };
  const sku = bound.cell(cells, 'sku');
  const name = bound.cell(cells, 'name');
  return name === '' ? { sku, quantity, unit_price } : { sku, name, quantity, unit_price };
}

function documentOf(
  rows: readonly CsvRow[],
  items: RowsDocument['items'],
  { bound, common }: { bound: Columns; common: CommonCells },
): RowsDocument {
  const { placed_at, currency, status, status_at, reason } = common;
  const cells = rows[0]?.cells ?? [];
  return {
    customer_id: bound.cell(cells, 'customer_id'),
    order_number: bound.cell(cells, 'order_number'),
    placed_at,
    ...(currency === '' ? {} : { currency }),
    items,
    ...(status === ''
      ? {}
      : { statuses: [{ status, occurred_at: status_at || placed_at, ...(reason === '' ? {} : { reason }) }] }),
  };
}

/** The rejected rows and the others of their order, which are rejected with them. */
function withRest(rejected: readonly RejectedRow[], rows: readonly CsvRow[]): RejectedRow[] {
  const byRow = new Map(rejected.map((one) => [one.row, one]));
  const first = rejected[0]?.row.line;
  const rest = { code: 'order_rejected', detail: `line ${first} of the same order was rejected` };
  return rows.map((row) => byRow.get(row) ?? { row, ...rest });
}
