import { stat } from 'node:fs/promises';
import type { ColumnMap } from '../domains/orders/order-csv-columns.ts';
import { type ImportPresetName, importPresets } from '../domains/orders/order-import-presets.ts';
import type { ImportSummary } from '../domains/orders/order-import-tally.ts';
import { readColumnMap } from './column-map.ts';
import { exitCodes } from './context.ts';
import type { Output } from './output.ts';
import { UsageError } from './stopped.ts';

/** The flags of `milliard orders import`. */
export interface ImportOptions {
  readonly preset: ImportPresetName;
  readonly map?: readonly string[];
  readonly dryRun?: boolean;
  readonly errors?: string;
  readonly strict?: boolean;
  readonly rate?: string;
}

/** Whether what is there can be read from its beginning again: not standard input, nor a pipe with a name. */
export async function isReadableAgain(path: string): Promise<boolean> {
  if (path === '-') return false;
  const found = await stat(path).catch(() => null);
  // What is not there is told when it is opened.
  return found === null || found.isFile();
}

/** What the flags say about a file of this format. @throws UsageError */
export function readColumnFlags(
  { preset, map = [] }: ImportOptions,
  { format, path }: { readonly format: 'csv' | 'ndjson'; readonly path: string },
): ColumnMap {
  if (format === 'ndjson' && preset !== 'default')
    throw new UsageError(`--preset ${preset} reads CSV, and ${path} is NDJSON. Leave the preset out.`);
  if (map.length === 0) return new Map();
  if (format === 'ndjson') throw new UsageError('--map names columns of CSV files, and this file is NDJSON.');
  const { fields } = importPresets[preset];
  if (fields.length === 0)
    throw new UsageError(`--map goes with --preset default; the columns of ${preset} are fixed.`);
  return readColumnMap(map, fields);
}

const countText = (value: number) => value.toLocaleString('en');

/** What an import did, or would do, in a sentence. */
export const summarySentence = (summary: ImportSummary, dryRun: boolean): string =>
  `${countText(summary.rows)} rows: ${countText(summary.ordersCreated)} orders ${dryRun ? 'would be created' : 'created'}, ` +
  `${countText(summary.ordersReplayed)} there already, ${countText(summary.ordersRejected)} rejected; ${countText(summary.items)} items, ` +
  `${countText(summary.statusesAdded)} statuses added to orders that were there.`;

/** Says where rejected rows stand, and gives the counts as the last line of --json. @returns the exit code */
export async function endImport(
  output: Output,
  { errors, strict = false }: ImportOptions,
  summary: ImportSummary,
): Promise<number> {
  if (summary.rowsRejected > 0) {
    const where = errors === undefined ? '--errors FILE keeps them' : `they stand in ${errors}`;
    output.warn(`${countText(summary.rowsRejected)} rows were rejected; ${where}.`);
  }
  await output.record({
    rows: summary.rows,
    rows_rejected: summary.rowsRejected,
    orders_created: summary.ordersCreated,
    orders_replayed: summary.ordersReplayed,
    orders_rejected: summary.ordersRejected,
    items: summary.items,
  });
  if (summary.rowsRejected > 0 && strict) return exitCodes.rejected;
  const isUseless = summary.rows > 0 && summary.ordersCreated + summary.ordersReplayed === 0;
  return isUseless ? exitCodes.failed : exitCodes.done;
}
