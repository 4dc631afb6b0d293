import type { FileRow } from '../../core/import-line.ts';
import { decodeRow, encodeRow, stagedKey } from '../../core/staged-row.ts';
import { copyLine } from '../../storage/copy.ts';
import { copiedRows } from '../../storage/copy-out.ts';
import type { Session } from '../../storage/database.ts';
import { analyseStaging, copyGrouped, copyStaged, createStaging } from './row-staging-queries.ts';

export interface KeyedRow {
  /** Rows with the same key belong together. */
  readonly key: string;
  readonly row: FileRow;
}

/**
 * Puts rows away in the database and gives them back grouped by key: those that belong together may stand anywhere in a file,
 * and the file may be larger than memory. Groups come in the order of their first rows.
 */
export interface RowStaging {
  /** @returns how many rows were put away */
  put(rows: AsyncIterable<readonly KeyedRow[]>): Promise<number>;
  /** The groups that one piece of the answer completed. */
  groups(): AsyncGenerator<FileRow[][]>;
}

export async function openRowStaging(session: Session): Promise<RowStaging> {
  await session.script(createStaging);
  return {
    async put(rows) {
      const count = await session.copyIn(copyStaged, encoded(rows));
      await session.script(analyseStaging);
      return count;
    },
    async *groups() {
      let key: string | null = null;
      let group: FileRow[] = [];
      for await (const rows of copiedRows(session.copyOut(copyGrouped))) {
        const complete: FileRow[][] = [];
        for (const [rowKey = null, line, cells] of rows) {
          if (rowKey !== key && group.length > 0) {
            complete.push(group);
            group = [];
          }
          key = rowKey;
          group.push(decodeRow(Number(line), cells ?? ''));
        }
        if (complete.length > 0) yield complete;
      }
      if (group.length > 0) yield [group];
    },
  };
}

async function* encoded(groups: AsyncIterable<readonly KeyedRow[]>): AsyncGenerator<Buffer> {
  for await (const rows of groups) {
    let text = '';
    for (const { key, row } of rows) text += copyLine([stagedKey(key), row.line, encodeRow(row)]);
    if (text !== '') yield Buffer.from(text, 'utf8');
  }
}
