import type { ColumnMap } from '../../core/csv-columns.ts';
import type { CsvRow } from '../../core/csv-reader.ts';
import type { RejectedLine } from '../../core/import-line.ts';
import { emptyCsv, type FileFormat, type FileHeader, fileRows } from '../../core/import-reading.ts';
import { interruptible } from '../../core/interruptible.ts';
import { utf8Text } from '../../core/text-lines.ts';
import type { Database } from '../../storage/database.ts';
import type { Transaction } from '../../storage/transaction.ts';
import { usageCsvHeader } from './usage-generator.ts';
import { type ReadUsage, usageReading } from './usage-import-reading.ts';
import type { ReadRecords, UsageWriter } from './usage-writer-service.ts';

export const importActor = 'import';

export interface WritingUsage {
  readonly writer: UsageWriter;
  readonly actor: string;
}

export interface WrittenUsage {
  readonly counts: Readonly<Record<'records_created' | 'records_replayed', number>>;
  readonly rejected: readonly RejectedLine[];
}

/** Writes records of a file in a transaction of the caller. */
export async function writeUsage(
  tx: Transaction,
  items: readonly ReadUsage[],
  { writer, actor }: WritingUsage,
): Promise<WrittenUsage> {
  const { records, good, rejected } = readItems(writer, items);
  const { accepted, duplicates, rejected: refused } = await writer.writeIn(tx, records, actor);
  return {
    counts: { records_created: accepted, records_replayed: duplicates },
    rejected: [...rejected, ...told(good, refused)].sort((a, b) => a.line - b.line),
  };
}

function readItems(
  writer: UsageWriter,
  items: readonly ReadUsage[],
): { readonly records: ReadRecords; readonly good: readonly ReadUsage[]; readonly rejected: RejectedLine[] } {
  const good = items.filter(({ line }) => line !== null);
  const rejected = items.flatMap(({ fault, reject }) => (fault === null ? [] : [reject(fault)]));
  const format = items[0]?.format ?? 'ndjson';
  const lines = good.map(({ line }) => line).join('\n');
  const bytes = Buffer.from(format === 'csv' ? usageCsvHeader + lines : lines);
  return { records: writer.read(bytes, format), good, rejected };
}

/** Lines of the bytes as lines of the file. */
const told = (
  good: readonly ReadUsage[],
  refused: readonly { readonly line: number; readonly code: string; readonly detail: string }[],
): RejectedLine[] => {
  const headerLines = good[0]?.format === 'csv' ? 1 : 0;
  return refused.flatMap(({ line, ...fault }) => good[line - 1 - headerLines]?.reject(fault) ?? []);
};

export interface UsageFileRequest {
  /** The bytes of the file, decompressed. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly format: FileFormat;
  /** Columns of a CSV file under other names: field -> column. */
  readonly map: ColumnMap;
  /** Judges everything and writes nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** Told after each part: how many rows were read so far. */
  readonly onProgress: (rows: number) => void;
  readonly onRejected: (rejected: RejectedLine) => Promise<void> | void;
  readonly onHeader: (header: FileHeader) => void;
}

// A part is one transaction.
const partRecords = 20_000;

/**
 * Imports what can be read only once, in bounded memory; sent again it changes nothing.
 * @returns counts by what became of the rows @throws ImportFileError when the file as a whole cannot be used
 */
export async function importUsageFile(
  { db, writer }: { readonly db: Database; readonly writer: UsageWriter },
  request: UsageFileRequest,
): Promise<Readonly<Record<string, number>>> {
  const { dryRun, onRejected, onProgress, signal } = request;
  const counts = { rows: 0, rows_rejected: 0, records_created: 0, records_replayed: 0 };
  const reject = async (lines: readonly RejectedLine[]): Promise<void> => {
    for (const line of lines) {
      counts.rows_rejected++;
      await onRejected(line);
    }
  };
  for await (const part of inParts(itemsOf(request))) {
    signal.throwIfAborted();
    if (dryRun) {
      const { records, good, rejected } = readItems(writer, part);
      const refused = records.parts.flatMap((one) => one.rejected);
      await reject([...rejected, ...told(good, refused)]);
      counts.records_created += records.parts.reduce((sum, { rows }) => sum + rows, 0);
    } else {
      await writer.giveWay();
      const written = await db.transaction((tx) => writeUsage(tx, part, { writer, actor: importActor }));
      counts.records_created += written.counts.records_created;
      counts.records_replayed += written.counts.records_replayed;
      await reject(written.rejected);
    }
    counts.rows += part.length;
    onProgress(counts.rows);
  }
  return counts;
}

/** @throws ImportFileError for a first line of CSV without the columns */
async function* itemsOf({ chunks, format, map, signal, onHeader }: UsageFileRequest): AsyncGenerator<ReadUsage[]> {
  const reading = usageReading(map);
  let bound = format === 'ndjson' ? reading.ndjson() : null;
  for await (const rows of fileRows(utf8Text(interruptible(chunks, signal)), format, reading.maxLineChars)) {
    let own = rows;
    const [first] = rows;
    if (bound === null && first !== undefined) {
      bound = reading.csv(first as CsvRow);
      if (bound.columns !== null) onHeader(bound.columns);
      own = rows.slice(1);
    }
    const known = bound;
    if (known !== null && own.length > 0) yield own.map((row) => known.itemOf([row]));
  }
  if (bound === null) throw emptyCsv();
}

async function* inParts(items: AsyncIterable<readonly ReadUsage[]>): AsyncGenerator<ReadUsage[]> {
  let part: ReadUsage[] = [];
  for await (const group of items) {
    for (const item of group) {
      part.push(item);
      if (part.length < partRecords) continue;
      yield part;
      part = [];
    }
  }
  if (part.length > 0) yield part;
}
