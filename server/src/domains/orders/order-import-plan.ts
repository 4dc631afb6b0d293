import type { CsvRow } from '../../core/csv-reader.ts';
import type { ReadOrder } from './order-import-part.ts';

/**
 * Where an import stands. `read`: everything up to `line` was read, `rows` rows in all; NDJSON is written as it is read. `write`:
 * the orders up to `key` were written; `left` rows of the file are still to be counted as written.
 */
export type ImportCursor =
  | { readonly phase: 'read'; readonly line: number; readonly rows: number }
  | { readonly phase: 'write'; readonly key: string; readonly left: number };

export type ImportPlan =
  /** Of a CSV file, to be put away. */
  | { readonly kind: 'rows'; readonly rows: readonly CsvRow[] }
  /** To be written; `rows` of the file are counted with them. */
  | { readonly kind: 'orders'; readonly orders: readonly ReadOrder[]; readonly rows: number }
  | { readonly kind: 'all rows are read' }
  | { readonly kind: 'nothing' };
