import { ImportFileError } from '../../core/csv-columns.ts';
import type { ImportReading } from '../../core/import-reading.ts';
import type { TextLine } from '../../core/text-lines.ts';
import { bindCsv, type CsvReading } from './order-import-csv.ts';
import { maxLineChars, readOrder } from './order-import-ndjson.ts';
import type { ReadOrder } from './order-import-part.ts';

/** How files of orders are read. @param file for the message when the preset does not fit it */
export const orderReading = (reading: CsvReading, file = 'this file'): ImportReading<ReadOrder> => ({
  maxLineChars,
  csv: (first) => bindCsv(first, reading),
  ndjson() {
    if (reading.preset !== 'default')
      throw new ImportFileError(`The preset ${reading.preset} reads CSV, and ${file} is NDJSON.`);
    // One order a line: nothing has to find each other.
    return { header: [], columns: null, groupOf: null, itemOf: ([line]) => readOrder(line as TextLine) };
  },
});
