import type { FileRow } from '../../core/import-line.ts';

/**
 * Where an import stands. `read`: everything up to `line` was read, `rows` rows in all; what stands alone is written as it is
 * read. `write`: the items up to `key` were written; `left` rows of the file are still to be counted as written.
 */
export type ImportCursor =
  | { readonly phase: 'read'; readonly line: number; readonly rows: number }
  | { readonly phase: 'write'; readonly key: string; readonly left: number };

export type ImportPlan<Item> =
  /** To be put away until those that belong together have found each other. */
  | { readonly kind: 'rows'; readonly rows: readonly FileRow[] }
  /** To be written; `rows` of the file are counted with them. */
  | { readonly kind: 'items'; readonly items: readonly Item[]; readonly rows: number }
  | { readonly kind: 'all rows are read' }
  | { readonly kind: 'nothing' };
