import type { CsvRow } from '../../core/csv-reader.ts';
import type { Currency } from '../../core/money.ts';
import { type ColumnMap, ImportFileError } from './order-csv-columns.ts';
import type { ReadOrder } from './order-import-part.ts';
import type { BoundPreset } from './order-import-preset.ts';
import { type ImportPresetName, importPresets } from './order-import-presets.ts';

/** How the first line of a file was understood. */
export interface FileHeader {
  readonly unused: readonly string[];
  /** Which column each field is read from, null where the file has none. */
  readonly mapping: Readonly<Record<string, string | null>>;
}

/** A CSV file whose first line was read. */
export interface CsvFile {
  readonly header: readonly string[];
  readonly bound: BoundPreset;
}

/** How a CSV file is to be understood. */
export interface CsvReading {
  readonly preset: ImportPresetName;
  readonly map: ColumnMap;
  readonly defaultCurrency: Currency;
}

/** @throws ImportFileError when the first line is broken or has not the columns of the preset */
export function bindCsv(first: CsvRow, { preset, map, defaultCurrency }: CsvReading): CsvFile {
  if (first.fault !== null)
    throw new ImportFileError(`This file cannot be imported: its first line ${first.fault.detail}.`);
  return { header: first.cells, bound: importPresets[preset].bind(first.cells, { defaultCurrency, map }) };
}

export const emptyCsv = (): ImportFileError =>
  new ImportFileError('This file is empty: it has not even a first line with the names of the columns.');

/** A row as it is told when it is left out. */
export const csvLine = (row: CsvRow, header: readonly string[]) =>
  ({ line: row.line, source: { kind: 'csv', header, cells: row.cells } }) as const;

/** What the rows of one order make. */
export function orderOfRows(rows: readonly CsvRow[], { bound, header }: CsvFile): ReadOrder {
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
