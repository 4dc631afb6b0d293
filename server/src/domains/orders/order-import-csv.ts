import type { ColumnMap } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import { csvLine, type FileRow } from '../../core/import-line.ts';
import { type BoundFile, requireHeader } from '../../core/import-reading.ts';
import type { Currency } from '../../core/money.ts';
import type { ReadOrder } from './order-import-part.ts';
import type { BoundPreset } from './order-import-preset.ts';
import { type ImportPresetName, importPresets } from './order-import-presets.ts';

/** How a CSV file is to be understood. */
export interface CsvReading {
  readonly preset: ImportPresetName;
  readonly map: ColumnMap;
  readonly defaultCurrency: Currency;
}

/** @throws ImportFileError when the first line is broken or has not the columns of the preset */
export function bindCsv(first: CsvRow, { preset, map, defaultCurrency }: CsvReading): BoundFile<ReadOrder> {
  const header = requireHeader(first);
  const bound = importPresets[preset].bind(header, { defaultCurrency, map });
  return {
    header,
    columns: { unused: bound.unused, mapping: bound.mapping },
    groupOf: (row) => bound.groupOf(row as CsvRow),
    itemOf: (rows: readonly FileRow[]) => orderOfRows(rows as readonly CsvRow[], bound, header),
  };
}

/** What the rows of one order make. */
function orderOfRows(rows: readonly CsvRow[], bound: BoundPreset, header: readonly string[]): ReadOrder {
  const { order, rejected } = bound.orderOf(rows);
  const bad = new Set(rejected.map(({ row }) => row));
  const good = bad.size === 0 ? rows : rows.filter((row) => !bad.has(row));
  return {
    order,
    lines: order === null ? [] : good.map((row) => csvLine(row, header)),
    rejected: rejected.map(({ row, code, detail }) => ({ ...csvLine(row, header), code, detail })),
    isOrderRejected: order === null && bound.rejectsWholeOrders,
  };
}
