import { ImportFileError } from './csv-columns.ts';
import { type CsvRow, csvRows } from './csv-reader.ts';
import type { FileRow, RowFault } from './import-line.ts';
import { textLines } from './text-lines.ts';

export type FileFormat = 'csv' | 'ndjson';

/** How the first line of a CSV file was understood. */
export interface FileHeader {
  readonly unused: readonly string[];
  /** Which column each field is read from, null where the file has none. */
  readonly mapping: Readonly<Record<string, string | null>>;
}

/** A file whose first line was read: what its rows make. */
export interface BoundFile<Item> {
  /** The cells of the first line; empty for NDJSON, which has none. */
  readonly header: readonly string[];
  /** Null for NDJSON. */
  readonly columns: FileHeader | null;
  /**
   * Rows with the same key make one item, wherever they stand; a row without a key is rejected at once. Null: each row makes an
   * item of its own, which is written as it is read.
   */
  readonly groupOf: ((row: FileRow) => string | RowFault) | null;
  /** Judges rows that belong together, in the order of the file; at least one. */
  itemOf(rows: readonly FileRow[]): Item;
}

/** How files of one subject are read. */
export interface ImportReading<Item> {
  /** @throws ImportFileError when the first line is broken or has not the columns it should have */
  csv(first: CsvRow): BoundFile<Item>;
  /** @throws ImportFileError when this reading knows no NDJSON */
  ndjson(): BoundFile<Item>;
  /** Longer lines of NDJSON are cut there and rejected. */
  readonly maxLineChars: number;
}

export const emptyCsv = (): ImportFileError =>
  new ImportFileError('This file is empty: it has not even a first line with the names of the columns.');

/** A first line that can be used. @throws ImportFileError */
export function requireHeader(first: CsvRow): readonly string[] {
  if (first.fault !== null)
    throw new ImportFileError(`This file cannot be imported: its first line ${first.fault.detail}.`);
  return first.cells;
}

/** The rows of a text that comes piece by piece; the first line of a CSV file is one of them, blank lines are none. */
export async function* fileRows(
  texts: AsyncIterable<string>,
  format: FileFormat,
  maxLineChars: number,
): AsyncGenerator<readonly FileRow[]> {
  if (format === 'csv') yield* csvRows(texts);
  else for await (const lines of textLines(texts, maxLineChars)) yield lines.filter(({ text }) => text.trim() !== '');
}
