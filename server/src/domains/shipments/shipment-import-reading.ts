import type { ColumnMap } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import { type FileRow, type RejectedLine, type RowFault, sourceLine } from '../../core/import-line.ts';
import { type BoundFile, type ImportReading, requireHeader } from '../../core/import-reading.ts';
import type { Currency } from '../../core/money.ts';
import { isDamagedText, type TextLine } from '../../core/text-lines.ts';
import type { Clock } from '../../core/time.ts';
import { type RowDocument, readRowDocument } from './shipment-import-document.ts';
import { type ImportCandidate, type JudgedRows, mergeRows, type StoredForRows } from './shipment-import-merge.ts';
import {
  bindShipmentColumns,
  readShipmentKey,
  readShipmentRow,
  type ShipmentCell,
  type ShipmentRow,
} from './shipment-import-row.ts';
import type { ShipmentKey } from './tracking-key.ts';

/** The rows of one shipment in a file. */
export interface ReadShipment extends ImportCandidate<RejectedLine> {
  readonly rows: number;
}

export interface ShipmentReadingOptions {
  /** Columns of a CSV file under other names: field -> column. */
  readonly map: ColumnMap;
  /** Of rows that name no currency. */
  readonly defaultCurrency: Currency;
  readonly clock: Clock;
}

const maxLineChars = 64 * 1024;

/** One row an article; rows with the same carrier and number are one shipment, wherever they stand. */
export const shipmentReading = ({ map, ...options }: ShipmentReadingOptions): ImportReading<ReadShipment> => ({
  maxLineChars,
  csv(first) {
    const header = requireHeader(first);
    const bound = bindShipmentColumns(header, map);
    const read = (row: FileRow): RowDocument | RowFault => {
      const { cells, fault } = row as CsvRow;
      return fault ?? { cell: (field) => bound.cell(cells, field), unused: [] };
    };
    const { unused, mapping } = bound;
    return boundFile({ header, columns: { unused, mapping }, read, ...options });
  },
  ndjson: () => boundFile({ header: [], columns: null, read: (row) => readLine(row as TextLine), ...options }),
});

interface Reading extends Pick<BoundFile<ReadShipment>, 'header' | 'columns'>, Omit<ShipmentReadingOptions, 'map'> {
  readonly read: (row: FileRow) => RowDocument | RowFault;
}

interface FileShipmentRow extends ShipmentRow {
  /** As it was read. */
  readonly file: FileRow;
}

function boundFile(reading: Reading): BoundFile<ReadShipment> {
  const { header, columns, read } = reading;
  return {
    header,
    columns,
    groupOf(row) {
      const document = read(row);
      return 'code' in document ? document : groupOf(document.cell);
    },
    itemOf: (rows) => ({
      key: keyOf(rows[0] as FileRow, reading),
      rows: rows.length,
      judge: (stored) => judgeRows(rows, reading, stored),
      refuse: (fault) => rows.map((row) => ({ ...sourceLine(row, header), ...fault })),
    }),
  };
}

function judgeRows(
  files: readonly FileRow[],
  { header, read, clock, defaultCurrency }: Reading,
  stored: StoredForRows | null,
): JudgedRows<RejectedLine> {
  const now = clock.now();
  const rows: FileShipmentRow[] = [];
  const rejected: RejectedLine[] = [];
  let unused: readonly string[] = [];
  for (const file of files) {
    const document = read(file);
    const row = 'code' in document ? document : readShipmentRow(document.cell, now);
    if ('code' in row) rejected.push({ ...sourceLine(file, header), ...row });
    else rows.push(Object.assign(row, { file }));
    if ('unused' in document && document.unused.length > 0) unused = [...unused, ...document.unused];
  }
  if (rows.length === 0) return { shipment: null, rejected, unused };
  const merged = mergeRows(rows, { defaultCurrency, stored });
  for (const { row, fault } of merged.rejected) rejected.push({ ...sourceLine(row.file, header), ...fault });
  return { shipment: merged.shipment, rejected, unused };
}

/** The key of a row that was found to have one when it was put away. */
function keyOf(row: FileRow, { read }: Reading): ShipmentKey {
  const document = read(row);
  const key = 'code' in document ? document : readShipmentKey(document.cell);
  if ('code' in key) throw new RangeError('A row without a key was put away.');
  return key;
}

/** In the order of the primary key of shipments, so that they are written in its order. */
function groupOf(cell: ShipmentCell): string | RowFault {
  const key = readShipmentKey(cell);
  return 'code' in key ? key : `${key.trackingKey} ${key.carrierKey}`;
}

function readLine({ text, tooLong }: TextLine): RowDocument | RowFault {
  if (tooLong) return { code: 'row_too_long', detail: `has more than ${maxLineChars} characters` };
  if (isDamagedText(text))
    return { code: 'not_utf8', detail: 'holds bytes that are no UTF-8, or U+FFFD in their place' };
  let document: unknown = null;
  try {
    document = JSON.parse(text);
  } catch {}
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    return { code: 'malformed_row', detail: 'is not a JSON object' };
  return readRowDocument(document);
}
