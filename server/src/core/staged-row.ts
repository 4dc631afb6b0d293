import { hash } from 'node:crypto';
import type { CsvRow } from './csv-reader.ts';
import { type FileRow, isCsvRow } from './import-line.ts';
import type { TextLine } from './text-lines.ts';

// JSON has no raw NUL and no lone surrogate: whatever stands in a file can be put away as text.

const longKeyChars = 300;

/** What rows that belong together have in common, as text that an index takes however long it is. */
export function stagedKey(key: string): string {
  const text = JSON.stringify(key);
  return text.length <= longKeyChars ? text : `${text.slice(0, 100)}#${hash('sha256', text, 'hex')}`;
}

/** A row of CSV becomes an array, a line of NDJSON a string; what is wrong about either stands beside it in an object. */
export function encodeRow(row: FileRow): string {
  if (!isCsvRow(row)) return JSON.stringify(row.tooLong ? { text: row.text } : row.text);
  return JSON.stringify(row.fault === null ? row.cells : { cells: row.cells, fault: row.fault });
}

type Encoded = readonly string[] | Pick<CsvRow, 'cells' | 'fault'> | string | Pick<TextLine, 'text'>;

export function decodeRow(line: number, encoded: string): FileRow {
  const value = JSON.parse(encoded) as Encoded;
  if (typeof value === 'string') return { line, text: value, tooLong: false };
  if (Array.isArray(value)) return { line, cells: value, fault: null };
  if ('text' in value) return { line, text: value.text, tooLong: true };
  const { cells, fault } = value as Pick<CsvRow, 'cells' | 'fault'>;
  return { line, cells, fault };
}
