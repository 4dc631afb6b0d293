import { type CsvRow, createCsvReader } from '../../core/csv-reader.ts';
import type { Currency } from '../../core/money.ts';
import { forEachParallel } from '../../core/parallel.ts';
import { utf8Text } from '../../core/text-lines.ts';
import type { Database } from '../../storage/database.ts';
import { onlineRetailPreset } from './online-retail.ts';
import { ImportFileError } from './order-csv-columns.ts';
import { defaultPreset } from './order-import-default.ts';
import { ndjsonOrders } from './order-import-ndjson.ts';
import { type ImportPart, partsOf, type ReadOrder, type RejectedLine } from './order-import-part.ts';
import type { BoundPreset, ImportPreset } from './order-import-preset.ts';
import { createImportTally, type ImportSummary, type ImportTally } from './order-import-tally.ts';
import { type OrderStaging, openOrderStaging, type StagedRow } from './order-staging-service.ts';
import type { OrderWriter } from './order-write-service.ts';
import { refusalMessages } from './orders-service.ts';

export const importPresets = { default: defaultPreset, 'online-retail': onlineRetailPreset } as const satisfies Record<
  string,
  ImportPreset
>;
export type ImportPresetName = keyof typeof importPresets;

export type ImportProgress =
  | { readonly phase: 'reading'; readonly rows: number }
  /** `totalRows`: null while the file is still being read (NDJSON is written as it is read). */
  | { readonly phase: 'writing'; readonly rows: number; readonly totalRows: number | null; readonly orders: number };

export interface ImportRequest {
  /** The bytes of the file, decompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: 'csv' | 'ndjson';
  readonly preset: ImportPresetName;
  /** Judges everything and writes nothing. */
  readonly dryRun: boolean;
  /** Aborting ends the import after the transactions under way; running it again goes on from there. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ImportProgress) => void;
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
  /** Told once, when the first line of a CSV file was read. */
  readonly onHeader?: (header: { readonly columns: readonly string[]; readonly unused: readonly string[] }) => void;
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
      const tally = createImportTally({ onRejected: request.onRejected, explain });
      if (request.format === 'csv') await importCsv(deps, request, tally);
      else await importNdjson(deps, request, tally);
      return tally.summary();
    },
  };
}

const importRefusals: Readonly<Record<string, string>> = {
  ...refusalMessages,
  placed_at_out_of_range: 'placed_at must not lie before 1995 nor more than 5 minutes ahead.',
};
const explain = (code: string): string => importRefusals[code] ?? 'The order was refused.';

async function importNdjson(deps: OrderImporterDeps, request: ImportRequest, tally: ImportTally): Promise<void> {
  const orders = ndjsonOrders(utf8Text(interruptible(request.chunks, request.signal)), () => tally.countRow());
  await writeAll(deps, request, { tally, orders, totalRows: null });
}

function importCsv(deps: OrderImporterDeps, request: ImportRequest, tally: ImportTally): Promise<void> {
  return deps.db.session(async (session) => {
    const staging = await openOrderStaging(session);
    const file: CsvFile = { bound: null, header: [] };
    await staging.put(sortedOut(file, { deps, request, tally }));
    const { bound, header } = file;
    if (bound === null)
      throw new ImportFileError('This file is empty: it has not even a first line with the names of the columns.');
    await writeAll(deps, request, { tally, orders: ordersOf(staging, { bound, header }), totalRows: tally.rows() });
  });
}

async function* ordersOf(
  staging: OrderStaging,
  { bound, header }: { bound: BoundPreset; header: readonly string[] },
): AsyncGenerator<ReadOrder[]> {
  for await (const groups of staging.groups()) {
    yield groups.map((rows): ReadOrder => {
      const { order, rejected } = bound.orderOf(rows);
      const bad = new Set(rejected.map(({ row }) => row));
      const good = bad.size === 0 ? rows : rows.filter((row) => !bad.has(row));
      return {
        order,
        lines: order === null ? [] : good.map((row) => csvLine(row, header)),
        rejected: rejected.map(({ row, code, detail }) => ({ ...csvLine(row, header), code, detail })),
        isOrderRejected: order === null && bound.rejectsWholeOrders,
      };
    });
  }
}

interface CsvFile {
  bound: BoundPreset | null;
  header: readonly string[];
}

const csvLine = (row: CsvRow, header: readonly string[]) =>
  ({ line: row.line, source: { kind: 'csv', header, cells: row.cells } }) as const;

/** The rows of a file with the orders they belong to; rows that belong to none are rejected here. */
async function* sortedOut(
  file: CsvFile,
  { deps, request, tally }: { deps: OrderImporterDeps; request: ImportRequest; tally: ImportTally },
): AsyncGenerator<StagedRow[]> {
  for await (const rows of csvRows(utf8Text(interruptible(request.chunks, request.signal)))) {
    const staged: StagedRow[] = [];
    for (const row of rows) {
      if (file.bound === null) {
        bindHeader(file, row, { deps, request });
        continue;
      }
      tally.countRow();
      const group = file.bound.groupOf(row);
      if (typeof group === 'string') staged.push({ key: group, row });
      else await tally.reject({ ...csvLine(row, file.header), ...group });
    }
    request.onProgress({ phase: 'reading', rows: tally.rows() });
    if (staged.length > 0) yield staged;
  }
}

function bindHeader(
  file: CsvFile,
  row: CsvRow,
  { deps, request }: { deps: OrderImporterDeps; request: ImportRequest },
): void {
  if (row.fault !== null)
    throw new ImportFileError(`This file cannot be imported: its first line ${row.fault.detail}.`);
  file.bound = importPresets[request.preset].bind(row.cells, deps.defaultCurrency);
  file.header = row.cells;
  request.onHeader?.({ columns: row.cells, unused: file.bound.unused });
}

async function* csvRows(texts: AsyncIterable<string>): AsyncGenerator<CsvRow[]> {
  const reader = createCsvReader();
  for await (const text of texts) yield reader.push(text);
  yield reader.end();
}

/** Ends what it passes on when the signal is aborted, between two pieces. */
async function* guarded<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  for await (const piece of source) {
    signal.throwIfAborted();
    yield piece;
  }
}

/** The same for what may keep us waiting for the next piece, like a pipe whose other end is silent. */
async function* interruptible<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  for (;;) {
    signal.throwIfAborted();
    const next = await unlessAborted(iterator.next(), signal);
    if (next.done === true) return;
    yield next.value;
  }
}

// Not Promise.race against one promise for the whole file: that promise would keep every piece of the file in memory.
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
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
