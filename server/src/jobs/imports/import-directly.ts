import type { FileRow, RejectedLine } from '../../core/import-line.ts';
import { sourceLine } from '../../core/import-line.ts';
import {
  type BoundFile,
  emptyCsv,
  type FileFormat,
  type FileHeader,
  fileRows,
  type ImportReading,
} from '../../core/import-reading.ts';
import { interruptible } from '../../core/interruptible.ts';
import { utf8Text } from '../../core/text-lines.ts';
import type { Database } from '../../storage/database.ts';
import { type KeyedRow, openRowStaging } from './row-staging.ts';

/** A file that is read once, from one end to the other, without a job. */
export interface DirectImport<Item> {
  /** The bytes of the file, decompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: FileFormat;
  readonly reading: ImportReading<Item>;
  /** Aborting ends the import between two pieces of the file. */
  readonly signal: AbortSignal;
  /** Told once, when the first line of a CSV file was read. */
  readonly onHeader?: (header: FileHeader) => void;
  /** Told while rows are put away: how many were read so far. */
  readonly onReading: (rows: number) => void;
  readonly onRow: () => void;
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
  /**
   * Writes what the rows make, in groups as they come.
   * @param totalRows of the file; null while it is still being read
   */
  write(items: AsyncIterable<readonly Item[]>, totalRows: number | null): Promise<void>;
}

/**
 * Imports in bounded memory: rows that belong together are put away in a temporary table until the file has ended.
 * @throws ImportFileError when the file as a whole cannot be used; nothing was written then
 */
export async function importDirectly<Item>(db: Database, request: DirectImport<Item>): Promise<void> {
  const { format, reading, signal } = request;
  const rows = fileRows(utf8Text(interruptible(request.chunks, signal)), format, reading.maxLineChars);
  const bound = format === 'ndjson' ? reading.ndjson() : null;
  if (bound !== null && bound.groupOf === null)
    return request.write(guarded(itemsOf(rows, bound, request), signal), null);
  await db.session(async (session) => {
    const staging = await openRowStaging(session);
    const found: Found<Item> = { bound, rows: 0 };
    await staging.put(sortedOut(rows, found, request));
    const { bound: known } = found;
    if (known === null) throw emptyCsv();
    const groups = async function* () {
      for await (const group of staging.groups()) yield group.map((own) => known.itemOf(own));
    };
    await request.write(guarded(groups(), signal), found.rows);
  });
}

interface Found<Item> {
  bound: BoundFile<Item> | null;
  rows: number;
}

async function* itemsOf<Item>(
  source: AsyncIterable<readonly FileRow[]>,
  bound: BoundFile<Item>,
  { onRow }: DirectImport<Item>,
): AsyncGenerator<Item[]> {
  for await (const rows of source) {
    if (rows.length === 0) continue;
    yield rows.map((row) => {
      onRow();
      return bound.itemOf([row]);
    });
  }
}

/** The rows of a file with the keys they belong to; rows that belong to none are rejected here. */
async function* sortedOut<Item>(
  source: AsyncIterable<readonly FileRow[]>,
  found: Found<Item>,
  request: DirectImport<Item>,
): AsyncGenerator<KeyedRow[]> {
  for await (const rows of source) {
    const staged: KeyedRow[] = [];
    for (const row of rows) {
      if (found.bound === null) {
        // The first line of a CSV file: NDJSON is bound before.
        found.bound = request.reading.csv(row as Parameters<ImportReading<Item>['csv']>[0]);
        if (found.bound.columns !== null) request.onHeader?.(found.bound.columns);
        continue;
      }
      found.rows++;
      request.onRow();
      const group = found.bound.groupOf?.(row) ?? '';
      if (typeof group === 'string') staged.push({ key: group, row });
      else await request.onRejected({ ...sourceLine(row, found.bound.header), ...group });
    }
    request.onReading(found.rows);
    if (staged.length > 0) yield staged;
  }
}

/** Ends what it passes on when the signal is aborted, between two pieces. */
async function* guarded<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  for await (const piece of source) {
    signal.throwIfAborted();
    yield piece;
  }
}
