import { type CsvRow, csvRows } from '../../core/csv-reader.ts';
import { interruptible } from '../../core/interruptible.ts';
import { createLookAhead, type LookAhead } from '../../core/look-ahead.ts';
import { utf8Text } from '../../core/text-lines.ts';
import { bindCsv, type CsvFile, type CsvReading, emptyCsv } from './order-import-csv.ts';
import { ndjsonOrders } from './order-import-ndjson.ts';
import type { ReadOrder, RejectedLine } from './order-import-part.ts';

/** What a file is, whatever it is called. */
export interface FileFacts {
  readonly format: 'csv' | 'ndjson';
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

/** @throws ImportFileError when the file has not the columns it should have */
export async function readHeader(files: ImportFiles, path: string, reading: CsvReading): Promise<CsvFile> {
  const file = await files.open(path);
  try {
    for await (const [first] of csvRows(utf8Text(file.chunks))) if (first !== undefined) return bindCsv(first, reading);
    throw emptyCsv();
  } finally {
    await file.close();
  }
}

/** A piece of a file with the line it begins on. */
export type FilePiece =
  | { readonly line: number; readonly row: CsvRow }
  | { readonly line: number; readonly order: ReadOrder };

/** The pieces of a file behind a line: rows of a CSV file, orders of NDJSON. */
export interface FilePieces {
  readonly ahead: LookAhead<FilePiece, 'file'>;
  close(): Promise<void>;
}

export interface PiecesOptions {
  readonly format: FileFacts['format'];
  /** What stands on this line and before it was done. */
  readonly after: number;
  readonly signal: AbortSignal;
}

// Of text: some thousand rows, a few of the largest orders.
const maxChars = 16 * 1024 * 1024;

/** Reads the file from its beginning and passes over what was done: a row may begin anywhere, gzip can be entered nowhere. */
export async function openPieces(files: ImportFiles, path: string, options: PiecesOptions): Promise<FilePieces> {
  const file = await files.open(path);
  const texts = utf8Text(interruptible(file.chunks, options.signal));
  const pieces = options.format === 'csv' ? csvPieces(texts) : orderPieces(texts, options.after);
  // A source that failed would look as if it had ended.
  let failure: { readonly error: unknown } | null = null;
  const ahead = createLookAhead<FilePiece, 'file'>({
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
    sizeOf: charsOf,
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

async function* csvPieces(texts: AsyncIterable<string>): AsyncGenerator<FilePiece[]> {
  let isHeader = true;
  for await (const rows of csvRows(texts)) {
    const own = isHeader ? rows.slice(1) : rows;
    if (rows.length > 0) isHeader = false;
    yield own.map((row) => ({ line: row.line, row }));
  }
}

async function* orderPieces(texts: AsyncIterable<string>, after: number): AsyncGenerator<FilePiece[]> {
  for await (const orders of ndjsonOrders(texts, () => {}, after))
    yield orders.map((order) => ({ line: (order.lines[0] ?? order.rejected[0])?.line ?? 0, order }));
}

function charsOf(piece: FilePiece): number {
  if ('row' in piece) return piece.row.cells.reduce((sum, cell) => sum + cell.length, 0);
  const source = (piece.order.lines[0] ?? piece.order.rejected[0])?.source;
  return source?.kind === 'ndjson' ? source.text.length : 0;
}
