import { hash } from 'node:crypto';
import type { CsvRow } from '../../core/csv-reader.ts';

// JSON has no raw NUL and no lone surrogate: whatever stands in a file can be put away as text.

const longKeyChars = 300;

/** What rows of one order have in common, as text that an index takes however long it is. */
export function stagedKey(key: string): string {
  const text = JSON.stringify(key);
  return text.length <= longKeyChars ? text : `${text.slice(0, 100)}#${hash('sha256', text, 'hex')}`;
}

export const encodeRow = ({ cells, fault }: CsvRow): string =>
  JSON.stringify(fault === null ? cells : { cells, fault });

export function decodeRow(line: number, text: string): CsvRow {
  const value = JSON.parse(text) as string[] | Pick<CsvRow, 'cells' | 'fault'>;
  return Array.isArray(value) ? { line, cells: value, fault: null } : { line, ...value };
}
