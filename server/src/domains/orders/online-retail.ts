import { type BoundColumns, bindColumns } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import { readPrice, readQuantity } from '../../core/import-cells.ts';
import type { RowFault } from '../../core/import-line.ts';
import type { Currency } from '../../core/money.ts';
import { parseInstant } from '../../core/time.ts';
import { type ImportPreset, type OrderFromRows, type RejectedRow, submitRows } from './order-import-preset.ts';

const columns = {
  invoice: { names: ['InvoiceNo', 'Invoice'], required: true },
  sku: { names: ['StockCode'], required: true },
  name: { names: ['Description'], required: false },
  quantity: { names: ['Quantity'], required: true },
  date: { names: ['InvoiceDate'], required: true },
  price: { names: ['UnitPrice', 'Price'], required: true },
  customer: { names: ['CustomerID', 'Customer ID'], required: true },
  country: { names: ['Country'], required: false },
} as const;
type Columns = BoundColumns<keyof typeof columns>;

const gbp = 'GBP' as Currency;
const guest = 'guest';

/**
 * The data set "Online Retail" of the UCI Machine Learning Repository: one order per InvoiceNo, placed at its earliest
 * InvoiceDate (UTC), in pounds. A number beginning with C is a return: pending, then cancelled, quantities made positive;
 * all others: pending, then complete. A row that is no sale (a negative quantity without a C, a price below 0 or finer than a
 * penny) is rejected; the order keeps its other rows.
 */
export const onlineRetailPreset: ImportPreset = {
  fields: [],
  bind(header) {
    const bound = bindColumns(header, columns);
    return {
      unused: bound.unused,
      mapping: bound.mapping,
      rejectsWholeOrders: false,
      groupOf(row) {
        if (row.fault !== null) return row.fault;
        const invoice = bound.cell(row.cells, 'invoice');
        return invoice === '' ? { code: 'order_number_missing', detail: 'InvoiceNo is empty' } : invoice;
      },
      orderOf: (rows) => orderOf(rows, bound),
    };
  },
};

interface Line {
  readonly row: CsvRow;
  readonly item: {
    readonly sku: string;
    readonly name?: string;
    readonly quantity: number;
    readonly unit_price: number;
  };
  /** RFC 3339. Texts of this form sort by time. */
  readonly placedAt: string;
  readonly customer: string;
}

function orderOf(rows: readonly CsvRow[], bound: Columns): OrderFromRows {
  const invoice = bound.cell(rows[0]?.cells ?? [], 'invoice');
  const isReturn = invoice.startsWith('C');
  const rejected: RejectedRow[] = [];
  let lines: Line[] = [];
  let customer = guest;
  for (const row of rows) {
    const line = lineOf(row, bound, isReturn);
    if ('code' in line) rejected.push({ row, ...line });
    else if (customer !== guest && line.customer !== guest && line.customer !== customer) {
      rejected.push({
        row,
        code: 'customer_differs',
        detail: `the invoice belongs to customer ${customer}, this line to ${line.customer}`,
      });
    } else {
      if (customer === guest) customer = line.customer;
      lines.push(line);
    }
  }
  // Each round either makes the order or takes at least one line away.
  while (lines.length > 0) {
    const own = lines;
    const submitted = submitRows(
      documentOf(invoice, own, { isReturn, customer }),
      own.map(({ row }) => row),
    );
    rejected.push(...submitted.rejected);
    if (submitted.order !== null) return { order: submitted.order, rejected };
    const bad = new Set(submitted.rejected.map(({ row }) => row));
    lines = own.filter(({ row }) => !bad.has(row));
  }
  return { order: null, rejected };
}

function lineOf(row: CsvRow, bound: Columns, isReturn: boolean): Line | RowFault {
  const { cells } = row;
  const unit_price = readPrice(bound.cell(cells, 'price'), gbp);
  if (typeof unit_price !== 'number') return unit_price;
  const quantity = readQuantity(bound.cell(cells, 'quantity'));
  if (typeof quantity !== 'number') return quantity;
  if (quantity < 0 && !isReturn) {
    return {
      code: 'quantity_negative',
      detail: `the quantity ${quantity} is negative, but the invoice is no return (C…)`,
    };
  }
  const placedAt = readInvoiceDate(bound.cell(cells, 'date'));
  if (typeof placedAt !== 'string') return placedAt;
  const sku = bound.cell(cells, 'sku');
  const name = bound.cell(cells, 'name');
  const item = { sku, ...(name === '' ? {} : { name }), quantity: Math.abs(quantity), unit_price };
  return { row, item, placedAt, customer: readCustomer(bound.cell(cells, 'customer')) };
}

function readInvoiceDate(text: string): string | RowFault {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d)?$/.exec(text);
  const placedAt = match === null ? '' : `${match[1]}T${match[2]}${match[3] ?? ':00'}Z`;
  if (parseInstant(placedAt) !== null) return placedAt;
  return { code: 'date_invalid', detail: `InvoiceDate "${text}" is not a time of the form 2010-12-01 08:26:00` };
}

/** Spreadsheets made the numbers decimal: 17850.0 is customer 17850. */
const readCustomer = (text: string): string => text.replace(/\.0+$/, '') || guest;

function documentOf(
  invoice: string,
  lines: readonly Line[],
  { isReturn, customer }: { isReturn: boolean; customer: string },
) {
  const placed_at = lines.reduce(
    (earliest, { placedAt }) => (placedAt < earliest ? placedAt : earliest),
    lines[0]?.placedAt ?? '',
  );
  return {
    customer_id: customer,
    order_number: invoice,
    placed_at,
    currency: gbp,
    items: lines.map(({ item }) => item),
    statuses: [
      isReturn
        ? { status: 'cancelled', occurred_at: placed_at, reason: 'customer_return' }
        : { status: 'complete', occurred_at: placed_at },
    ],
  };
}
