import type { ColumnMap } from '../../core/csv-columns.ts';
import type { RejectedLine } from '../../core/import-line.ts';
import type { FileFormat, FileHeader } from '../../core/import-reading.ts';
import type { Currency } from '../../core/money.ts';
import { forEachParallel } from '../../core/parallel.ts';
import type { Clock } from '../../core/time.ts';
import { importDirectly } from '../../jobs/imports/import-directly.ts';
import type { Database } from '../../storage/database.ts';
import { type ShipmentsChanged, tellChange } from './shipment-change.ts';
import { type ReadShipment, shipmentReading } from './shipment-import-reading.ts';
import { createShipmentCounter, type ShipmentImportSummary, shipmentSummaryOf } from './shipment-import-tally.ts';
import { importActor, type ShipmentImportWriter } from './shipment-import-write-service.ts';

export type ShipmentImportProgress =
  | { readonly phase: 'reading'; readonly rows: number }
  | { readonly phase: 'writing'; readonly rows: number; readonly totalRows: number; readonly shipments: number };

export interface ShipmentImportRequest {
  /** The bytes of the file, decompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: FileFormat;
  /** Columns of a CSV file under other names: field -> column. */
  readonly map?: ColumnMap;
  /** Of rows that name none; left out: the installation's. */
  readonly currency?: Currency;
  /** Judges everything and writes nothing. */
  readonly dryRun: boolean;
  /** Aborting ends the import after the transactions under way; what they wrote is recognised when the file is sent again. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ShipmentImportProgress) => void;
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
  /** Told once, when the first line of a CSV file was read. */
  readonly onHeader?: (header: FileHeader) => void;
}

export interface ShipmentImporter {
  /**
   * Imports a file of shipments in bounded memory; sent again it changes nothing.
   * @throws ImportFileError when the file as a whole cannot be used; nothing was written then
   */
  importShipments(request: ShipmentImportRequest): Promise<ShipmentImportSummary>;
}

export interface ShipmentImporterDeps {
  readonly db: Database;
  readonly writer: ShipmentImportWriter;
  readonly clock: Clock;
  readonly defaultCurrency: Currency;
  readonly onChange?: ShipmentsChanged;
}

// A part is one transaction.
const partShipments = 1_000;
// While one part waits for the database the next is encoded; more than two wait for each other's processor.
const writers = 2;

export function createShipmentImporter(deps: ShipmentImporterDeps): ShipmentImporter {
  return {
    async importShipments(request) {
      const { map = new Map(), currency = deps.defaultCurrency, onHeader } = request;
      const tally = createTally(request);
      await importDirectly(deps.db, {
        chunks: request.chunks,
        format: request.format,
        reading: shipmentReading({ map, defaultCurrency: currency, clock: deps.clock }),
        signal: request.signal,
        ...(onHeader === undefined ? {} : { onHeader }),
        onReading: (rows) => request.onProgress({ phase: 'reading', rows }),
        onRow: () => tally.add({ rows: 1 }),
        onRejected: (line) => tally.reject([line]),
        write: (items) => writeAll(deps, request, { tally, items }),
      });
      return shipmentSummaryOf(tally.counts);
    },
  };
}

interface Tally {
  readonly counts: Readonly<Record<string, number>>;
  add(counts: Readonly<Record<string, number>>): void;
  reject(lines: readonly RejectedLine[]): Promise<void>;
}

function createTally({ onRejected }: Pick<ShipmentImportRequest, 'onRejected'>): Tally {
  const counts: Record<string, number> = {};
  const add = (more: Readonly<Record<string, number>>): void => {
    for (const [name, by] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + by;
  };
  return {
    counts,
    add,
    async reject(lines) {
      for (const line of lines) {
        add({ rows_rejected: 1 });
        await onRejected(line);
      }
    },
  };
}

async function writeAll(
  { db, writer, onChange }: ShipmentImporterDeps,
  { dryRun, onProgress }: ShipmentImportRequest,
  { tally, items }: { readonly tally: Tally; readonly items: AsyncIterable<readonly ReadShipment[]> },
): Promise<void> {
  const counter = createShipmentCounter();
  let shipments = 0;
  let rows = 0;
  await forEachParallel(inParts(items), writers, async (part) => {
    const outcomes = dryRun
      ? await writer.preview(db.query, part)
      : await db.transaction((tx) => writer.writeIn(tx, part, importActor), { idempotent: true });
    const { counts, rejected, changed } = counter.settle(outcomes);
    if (!dryRun) await tellChange(onChange, changed);
    tally.add(counts);
    await tally.reject(rejected);
    shipments += part.length;
    rows += part.reduce((sum, item) => sum + item.rows, 0);
    onProgress({ phase: 'writing', rows, totalRows: tally.counts['rows'] ?? 0, shipments });
  });
}

async function* inParts(items: AsyncIterable<readonly ReadShipment[]>): AsyncGenerator<ReadShipment[]> {
  let part: ReadShipment[] = [];
  for await (const group of items) {
    for (const item of group) {
      part.push(item);
      if (part.length < partShipments) continue;
      yield part;
      part = [];
    }
  }
  if (part.length > 0) yield part;
}
