import type { CsvRow } from './csv-reader.ts';
import type { TextLine } from './text-lines.ts';

/** Where a line came from, so that it can be written out again for mending. */
export type LineSource =
  | { readonly kind: 'csv'; readonly header: readonly string[]; readonly cells: readonly string[] }
  | { readonly kind: 'ndjson'; readonly text: string };

export interface SourceLine {
  /** Counted from 1. */
  readonly line: number;
  readonly source: LineSource;
}

/** Why a line of a file is left out. */
export interface RowFault {
  /** Stable and machine-readable: `price_negative`. */
  readonly code: string;
  readonly detail: string;
}

/** A line of a file that was not imported and why. */
export interface RejectedLine extends SourceLine, RowFault {}

/** A row of a CSV file or a line of NDJSON, as it was read. */
export type FileRow = CsvRow | TextLine;

export const isCsvRow = (row: FileRow): row is CsvRow => 'cells' in row;

/** A row of a CSV file as it is told when it is left out. */
export const csvLine = (row: CsvRow, header: readonly string[]) =>
  ({ line: row.line, source: { kind: 'csv', header, cells: row.cells } }) as const;

/** A line of NDJSON as it is told when it is left out. */
export const ndjsonLine = ({ line, text }: TextLine) => ({ line, source: { kind: 'ndjson', text } }) as const;

/** A row as it is told when it is left out. @param header of a CSV file; [] for NDJSON */
export const sourceLine = (row: FileRow, header: readonly string[]): SourceLine =>
  isCsvRow(row) ? csvLine(row, header) : ndjsonLine(row);
