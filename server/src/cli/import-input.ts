import { stat } from 'node:fs/promises';
import type { ColumnMap } from '../core/csv-columns.ts';
import type { FileFormat, FileHeader } from '../core/import-reading.ts';
import { type ColumnOwner, readColumnMap } from './column-map.ts';
import { exitCodes } from './context.ts';
import type { Output } from './output.ts';
import { UsageError } from './stopped.ts';

/** The flags of every import of a file. */
export interface ImportFlags {
  readonly map?: readonly string[];
  readonly dryRun?: boolean;
  readonly errors?: string;
  readonly strict?: boolean;
  readonly rate?: string;
}

/** For options that may be given several times. */
export const collected = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** Whether what is there can be read from its beginning again: not standard input, nor a pipe with a name. */
async function isReadableAgain(path: string): Promise<boolean> {
  if (path === '-') return false;
  const found = await stat(path).catch(() => null);
  // What is not there is told when it is opened.
  return found === null || found.isFile();
}

/** Whether a file is imported by a job: not a pipe, nor one that is only judged. @throws UsageError for flags that do not go with it */
export async function isForJob(path: string, { dryRun = false, rate }: ImportFlags): Promise<boolean> {
  if (!dryRun && (await isReadableAgain(path))) return true;
  if (rate !== undefined)
    throw new UsageError('--rate goes with a file that is imported, not with a pipe or --dry-run.');
  return false;
}

/** What --map says about a file of this format. @throws UsageError */
export function readMapFlag({ map = [] }: ImportFlags, format: FileFormat, owner: ColumnOwner): ColumnMap {
  if (map.length === 0) return new Map();
  if (format === 'ndjson') throw new UsageError('--map names columns of CSV files, and this file is NDJSON.');
  return readColumnMap(map, owner.fields, owner);
}

export const countText = (value: number): string => value.toLocaleString('en');

/** Once a file. */
export function warnOfUnused(output: Output, { unused }: Pick<FileHeader, 'unused'>): void {
  if (unused.length > 0) output.warn(`Columns that are not used: ${unused.join(', ')}`);
}

export interface ImportEnd {
  readonly rows: number;
  readonly rowsRejected: number;
  /** Orders, shipments … that were stored or there already. */
  readonly used: number;
  /** The counts as the last line of --json. */
  readonly record: Readonly<Record<string, number>>;
}

/** Says where rejected rows stand, and gives the counts as the last line of --json. @returns the exit code */
export async function endImport(
  output: Output,
  { errors, strict = false }: ImportFlags,
  { rows, rowsRejected, used, record }: ImportEnd,
): Promise<number> {
  if (rowsRejected > 0) {
    const where = errors === undefined ? '--errors FILE keeps them' : `they stand in ${errors}`;
    output.warn(`${countText(rowsRejected)} ${rowsRejected === 1 ? 'row was' : 'rows were'} rejected; ${where}.`);
  }
  await output.record(record);
  if (rowsRejected > 0 && strict) return exitCodes.rejected;
  return rows > 0 && used === 0 ? exitCodes.failed : exitCodes.done;
}
