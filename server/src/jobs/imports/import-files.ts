import { csvRows } from '../../core/csv-reader.ts';
import type { FileRow, RejectedLine } from '../../core/import-line.ts';
import { isCsvRow } from '../../core/import-line.ts';
import { type BoundFile, emptyCsv, type FileFormat, fileRows, type ImportReading } from '../../core/import-reading.ts';
import { interruptible } from '../../core/interruptible.ts';
import { createLookAhead, type LookAhead } from '../../core/look-ahead.ts';
import { utf8Text } from '../../core/text-lines.ts';

/** What a file is, whatever it is called. */
export interface FileFacts {
  readonly format: FileFormat;
  /** SHA-256 of its bytes as they stand on the disk, in hexadecimal. */
  readonly sha256: string;
  /** Lines of the text, its compression undone. */
  readonly lines: number;
}

/** Where rejected lines go at the end of a run. */
export interface RejectedLines {
  add(line: RejectedLine): Promise<void>;
  close(): Promise<void>;
}

interface OpenedFile {
  /** The text, its compression undone. */
  readonly chunks: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** The files of this machine. */
export interface ImportFiles {
  /** Reads it from one end to the other. @throws Error with a sentence when it cannot be read or used */
  inspect(path: string): Promise<FileFacts>;
  /** @throws as `inspect` */
  open(path: string): Promise<OpenedFile>;
  /** @param path null = nobody asked for them */
  openRejected(path: string | null): Promise<RejectedLines>;
}

/** What the rows of a file make, by its first line. @throws ImportFileError when the file has not the columns it should have */
export async function bindFile<Item>(
  files: ImportFiles,
  { path, format }: { readonly path: string; readonly format: FileFormat },
  reading: ImportReading<Item>,
): Promise<BoundFile<Item>> {
  if (format === 'ndjson') return reading.ndjson();
  const file = await files.open(path);
  try {
    for await (const [first] of csvRows(utf8Text(file.chunks))) if (first !== undefined) return reading.csv(first);
    throw emptyCsv();
  } finally {
    await file.close();
  }
}

/** A piece of a file with the line it begins on: a row, or the item that a row makes by itself. */
export type FilePiece<Item> = { readonly line: number; readonly row: FileRow } & (
  | { readonly kind: 'row' }
  | { readonly kind: 'item'; readonly item: Item }
);

/** The pieces of a file behind a line. */
export interface FilePieces<Item> {
  readonly ahead: LookAhead<FilePiece<Item>, 'file'>;
  close(): Promise<void>;
}

export interface PiecesOptions<Item> {
  readonly path: string;
  readonly format: FileFormat;
  readonly bound: BoundFile<Item>;
  readonly maxLineChars: number;
  /** What stands on this line and before it was done. */
  readonly after: number;
  readonly signal: AbortSignal;
}

// Of text: some thousand rows, a few of the largest orders.
const maxChars = 16 * 1024 * 1024;

/** Reads the file from its beginning and passes over what was done: a row may begin anywhere, gzip can be entered nowhere. */
export async function openPieces<Item>(files: ImportFiles, options: PiecesOptions<Item>): Promise<FilePieces<Item>> {
  const file = await files.open(options.path);
  const pieces = piecesOf(utf8Text(interruptible(file.chunks, options.signal)), options);
  // A source that failed would look as if it had ended.
  let failure: { readonly error: unknown } | null = null;
  const ahead = createLookAhead<FilePiece<Item>, 'file'>({
    async pull() {
      if (failure !== null) throw failure.error;
      try {
        const next = await pieces.next();
        return next.done === true ? null : next.value;
      } catch (error) {
        failure = { error };
        throw error;
      }
    },
    weightOf: () => 1,
    sizeOf: ({ row }) => charsOf(row),
    maxSize: maxChars,
    background: 'file',
  });
  return {
    ahead,
    async close() {
      await ahead.settle();
      await file.close();
    },
  };
}

async function* piecesOf<Item>(
  texts: AsyncIterable<string>,
  { format, bound, maxLineChars, after }: PiecesOptions<Item>,
): AsyncGenerator<FilePiece<Item>[]> {
  let isHeader = format === 'csv';
  for await (const rows of fileRows(texts, format, maxLineChars)) {
    const own = isHeader ? rows.slice(1) : rows;
    if (rows.length > 0) isHeader = false;
    const wanted = own.filter(({ line }) => line > after);
    yield wanted.map((row) =>
      bound.groupOf === null
        ? { kind: 'item', line: row.line, row, item: bound.itemOf([row]) }
        : { kind: 'row', line: row.line, row },
    );
  }
}

const charsOf = (row: FileRow): number =>
  isCsvRow(row) ? row.cells.reduce((sum, cell) => sum + cell.length, 0) : row.text.length;
