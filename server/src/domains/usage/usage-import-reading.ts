import { bindColumns, type ColumnMap, type WantedColumn } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import { type FileRow, type RejectedLine, type RowFault, sourceLine } from '../../core/import-line.ts';
import { type ImportReading, requireHeader } from '../../core/import-reading.ts';
import { isDamagedText, type TextLine } from '../../core/text-lines.ts';
import { type UsageColumn, usageColumns } from './usage-csv-line.ts';

/** A record of a file: a line as the API's bulk call takes it, or what is wrong about it. */
export interface ReadUsage {
  readonly line: string | null;
  readonly format: 'csv' | 'ndjson';
  readonly reject: (fault: RowFault) => RejectedLine;
  readonly fault: RowFault | null;
}

const maxLineChars = 64 * 1024;

const wantedColumns = Object.fromEntries(
  usageColumns.map((name): [UsageColumn, WantedColumn] => [name, { names: [name], required: true }]),
) as Record<UsageColumn, WantedColumn>;

/** One record a row or line. Columns in any order, others than those of a record are passed over. */
export const usageReading = (map: ColumnMap): ImportReading<ReadUsage> => ({
  maxLineChars,
  csv(first) {
    const header = requireHeader(first);
    const { cell, unused, mapping } = bindColumns(header, wantedColumns, map);
    return {
      header,
      columns: { unused, mapping },
      groupOf: null,
      itemOf: ([row]) => {
        const { cells, fault } = row as CsvRow;
        const line = fault === null ? usageColumns.map((name) => csvCell(cell(cells, name))).join(',') : null;
        return readUsage('csv', line, { row: row as CsvRow, header, fault });
      },
    };
  },
  ndjson: () => ({
    header: [],
    columns: null,
    groupOf: null,
    itemOf: ([row]) => {
      const line = row as TextLine;
      const fault = lineFault(line);
      return readUsage('ndjson', fault === null ? ownLine(line.text) : null, { row: line, header: [], fault });
    },
  }),
});

function readUsage(
  format: ReadUsage['format'],
  line: string | null,
  {
    row,
    header,
    fault,
  }: { readonly row: FileRow; readonly header: readonly string[]; readonly fault: RowFault | null },
): ReadUsage {
  return { format, line, fault, reject: ({ code, detail }) => ({ ...sourceLine(row, header), code, detail }) };
}

function lineFault({ text, tooLong }: TextLine): RowFault | null {
  if (tooLong) return { code: 'row_too_long', detail: `has more than ${maxLineChars} characters` };
  if (isDamagedText(text))
    return { code: 'not_utf8', detail: 'holds bytes that are no UTF-8, or U+FFFD in their place' };
  return null;
}

// A row of our own reader may have line breaks in its cells, a line of the bulk call has none: such an id is refused there.
const csvCell = (text: string): string =>
  /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""').replace(/[\r\n]/g, '\u0000')}"` : text;

/** Without `error` and `line`, which a file of rejected lines has. */
function ownLine(text: string): string {
  if (!text.includes('"error"')) return text;
  try {
    const { error: _error, line: _line, ...document } = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify(document);
  } catch {
    return text;
  }
}
