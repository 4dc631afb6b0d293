import type { ColumnMap } from '../../core/csv-columns.ts';
import type { RejectedLine } from '../../core/import-line.ts';
import type { FileHeader } from '../../core/import-reading.ts';
import type { Currency } from '../../core/money.ts';
import { forEachParallel } from '../../core/parallel.ts';
import { importDirectly } from '../../jobs/imports/import-directly.ts';
import type { Database } from '../../storage/database.ts';
import { type ImportPart, partsOf, type ReadOrder } from './order-import-part.ts';
import type { ImportPresetName } from './order-import-presets.ts';
import { orderReading } from './order-import-reading.ts';
import { createImportTally, type ImportSummary, type ImportTally } from './order-import-tally.ts';
import type { OrderWriter } from './order-write-service.ts';
import { refusalMessages } from './orders-service.ts';

const importRefusals: Readonly<Record<string, string>> = {
  ...refusalMessages,
  placed_at_out_of_range: 'placed_at must not lie before 1995 nor more than 5 minutes ahead.',
};

/** Why an order of a file was refused, in words. */
export const explainRefusal = (code: string): string => importRefusals[code] ?? 'The order was refused.';

export type ImportProgress =
  | { readonly phase: 'reading'; readonly rows: number }
  /** `totalRows`: null while the file is still being read (NDJSON is written as it is read). */
  | { readonly phase: 'writing'; readonly rows: number; readonly totalRows: number | null; readonly orders: number };

export interface ImportRequest {
  /** The bytes of the file, decompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: 'csv' | 'ndjson';
  readonly preset: ImportPresetName;
  /** Columns of a CSV file under other names than the preset knows: field -> column. */
  readonly map?: ColumnMap;
  /** Judges everything and writes nothing. */
  readonly dryRun: boolean;
  /** Aborting ends the import after the transactions under way; running it again goes on from there. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImportProgress) => void;
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
  /** Told once, when the first line of a CSV file was read. */
  readonly onHeader?: (header: FileHeader) => void;
}

export interface OrderImporter {
  /**
   * Imports a file of orders in bounded memory, each order once however often the file is sent.
   * @throws ImportFileError when the file as a whole cannot be used; nothing was written then
   */
  importOrders(request: ImportRequest): Promise<ImportSummary>;
}

export interface OrderImporterDeps {
  readonly db: Database;
  readonly writer: OrderWriter;
  readonly defaultCurrency: Currency;
}

// While one part waits for the database the next is encoded; more than two wait for each other's processor.
const writers = 2;

export function createOrderImporter(deps: OrderImporterDeps): OrderImporter {
  return {
    async importOrders(request) {
      const { preset, map = new Map(), onHeader } = request;
      const tally = createImportTally({ onRejected: request.onRejected, explain: explainRefusal });
      await importDirectly(deps.db, {
        chunks: request.chunks,
        format: request.format,
        reading: orderReading({ preset, map, defaultCurrency: deps.defaultCurrency }),
        signal: request.signal,
        ...(onHeader === undefined ? {} : { onHeader }),
        onReading: (rows) => request.onProgress({ phase: 'reading', rows }),
        onRow: () => tally.countRow(),
        onRejected: (line) => tally.reject(line),
        write: (orders, totalRows) => writeAll(deps, request, { tally, orders, totalRows }),
      });
      return tally.summary();
    },
  };
}

interface Writing {
  readonly tally: ImportTally;
  readonly orders: AsyncIterable<readonly ReadOrder[]>;
  readonly totalRows: number | null;
}

async function writeAll(
  { writer }: OrderImporterDeps,
  request: ImportRequest,
  { tally, orders, totalRows }: Writing,
): Promise<void> {
  const options = { by: 'copy', olderMonths: 'make' } as const;
  let written = 0;
  let rows = 0;
  await forEachParallel(partsOf(orders, tally), writers, async (part: ImportPart) => {
    const submitted = part.map(({ order }) => ({ order, requestKey: null, actor: 'import' }));
    const outcomes = request.dryRun ? await writer.preview(submitted, options) : await writer.write(submitted, options);
    await tally.settle(part, outcomes);
    written += part.length;
    rows += part.reduce((sum, { lines }) => sum + lines.length, 0);
    request.onProgress({ phase: 'writing', rows: rows + tally.rejectedRows(), totalRows, orders: written });
  });
}
