import { type CsvRow, csvRows } from '../core/csv-reader.ts';
import { InvalidInputError } from '../core/errors.ts';
import { utf8Text } from '../core/text-lines.ts';
import { type BulkPart, type BulkRow, maxPartBytes, type ReadRow, rejectedRow } from './bulk-parts.ts';

/** How the rows of a CSV body become documents. */
export interface BulkCsv {
  /** For the documentation: the columns, and how their cells are read. */
  readonly description: string;
  /**
   * Called once a request, with the cells of the first line. The answer makes a document of the cells of each later row, as
   * many as the header has.
   * @throws InvalidInputError when columns are missing or named twice: the request is refused as a whole
   */
  documents(header: readonly string[]): (cells: readonly string[]) => unknown;
}

/**
 * Reads CSV into parts of exactly so many rows below the header (or 16 Mi characters where rows are very long). A row is told
 * by the line of the body on which it begins.
 * @throws InvalidInputError when there is no header, or one that cannot be read
 */
export async function* partsOfCsv<Item>(
  source: AsyncIterable<Buffer>,
  csv: BulkCsv,
  { read, partLines }: { readonly read: ReadRow<Item>; readonly partLines: number },
): AsyncGenerator<BulkPart<Item>> {
  let documentOf: ((cells: readonly string[]) => unknown) | null = null;
  let part: BulkRow<Item>[] = [];
  let characters = 0;
  for await (const rows of csvRows(utf8Text(source))) {
    for (const row of rows) {
      if (documentOf === null) {
        documentOf = csv.documents(headerOf(row));
        continue;
      }
      part.push(
        row.fault === null ? read(documentOf(row.cells), row.line) : rejectedRow(row.line, rejectionOf(row.fault)),
      );
      for (const cell of row.cells) characters += cell.length;
      if (part.length < partLines && characters < maxPartBytes) continue;
      yield part;
      part = [];
      characters = 0;
    }
  }
  if (documentOf === null) throw headerFault('is missing: the first line of a CSV body names its columns');
  if (part.length > 0) yield part;
}

function headerOf({ cells, fault }: CsvRow): readonly string[] {
  if (fault !== null) throw headerFault(fault.detail);
  return cells.map((cell) => cell.trim());
}

const headerFault = (detail: string) =>
  new InvalidInputError([{ pointer: '', code: 'invalid_header', detail: `the header ${detail}` }]);

const rejectionOf = ({ code, detail }: NonNullable<CsvRow['fault']>) => ({ code, detail: `The row ${detail}.` });
