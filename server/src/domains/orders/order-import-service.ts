import { csvRows } from '../../core/csv-reader.ts';
import { interruptible } from '../../core/interruptible.ts';
import type { Currency } from '../../core/money.ts';
import { forEachParallel } from '../../core/parallel.ts';
import { utf8Text } from '../../core/text-lines.ts';
import type { Database } from '../../storage/database.ts';
import type { ColumnMap } from './order-csv-columns.ts';
import { bindCsv, type CsvFile, csvLine, emptyCsv, type FileHeader, orderOfRows } from './order-import-csv.ts';
import { ndjsonOrders } from './order-import-ndjson.ts';
import { type ImportPart, partsOf, type ReadOrder, type RejectedLine } from './order-import-part.ts';
import type { ImportPresetName } from './order-import-presets.ts';
import { createImportTally, type ImportSummary, type ImportTally } from './order-import-tally.ts';
import { type OrderStaging, openOrderStaging, type StagedRow } from './order-staging-service.ts';
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
      const tally = createImportTally({ onRejected: request.onRejected, explain: explainRefusal });
      if (request.format === 'csv') await importCsv(deps, request, tally);
      else await importNdjson(deps, request, tally);
      return tally.summary();
    },
  };
}

async function importNdjson(deps: OrderImporterDeps, request: ImportRequest, tally: ImportTally): Promise<void> {
  const orders = ndjsonOrders(utf8Text(interruptible(request.chunks, request.signal)), () => tally.countRow());
  await writeAll(deps, request, { tally, orders, totalRows: null });
}

function importCsv(deps: OrderImporterDeps, request: ImportRequest, tally: ImportTally): Promise<void> {
  return deps.db.session(async (session) => {
    const staging = await openOrderStaging(session);
    const found: { file: CsvFile | null } = { file: null };
    await staging.put(sortedOut(found, { deps, request, tally }));
    if (found.file === null) throw emptyCsv();
    await writeAll(deps, request, { tally, orders: ordersOf(staging, found.file), totalRows: tally.rows() });
  });
}

async function* ordersOf(staging: OrderStaging, file: CsvFile): AsyncGenerator<ReadOrder[]> {
  for await (const groups of staging.groups()) yield groups.map((rows) => orderOfRows(rows, file));
}

/** The rows of a file with the orders they belong to; rows that belong to none are rejected here. */
async function* sortedOut(
  found: { file: CsvFile | null },
  { deps, request, tally }: { deps: OrderImporterDeps; request: ImportRequest; tally: ImportTally },
): AsyncGenerator<StagedRow[]> {
  for await (const rows of csvRows(utf8Text(interruptible(request.chunks, request.signal)))) {
    const staged: StagedRow[] = [];
    for (const row of rows) {
      if (found.file === null) {
        const { preset, map = new Map() } = request;
        const file = bindCsv(row, { preset, map, defaultCurrency: deps.defaultCurrency });
        request.onHeader?.(file.bound);
        found.file = file;
        continue;
      }
      tally.countRow();
      const group = found.file.bound.groupOf(row);
      if (typeof group === 'string') staged.push({ key: group, row });
      else await tally.reject({ ...csvLine(row, found.file.header), ...group });
    }
    request.onProgress({ phase: 'reading', rows: tally.rows() });
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
  await forEachParallel(partsOf(guarded(orders, request.signal), tally), writers, async (part: ImportPart) => {
    const submitted = part.map(({ order }) => ({ order, requestKey: null, actor: 'import' }));
    const outcomes = request.dryRun ? await writer.preview(submitted, options) : await writer.write(submitted, options);
    await tally.settle(part, outcomes);
    written += part.length;
    rows += part.reduce((sum, { lines }) => sum + lines.length, 0);
    request.onProgress({ phase: 'writing', rows: rows + tally.rejectedRows(), totalRows, orders: written });
  });
}
