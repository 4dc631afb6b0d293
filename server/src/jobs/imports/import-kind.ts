import type { ZodType } from 'zod';
import type { FileHeader, ImportReading } from '../../core/import-reading.ts';
import type { JobContext, JobKind, Json } from '../job.ts';
import { jobRefused } from '../job-errors.ts';
import { bindFile, type ImportFiles } from './import-files.ts';
import type { ImportParameters } from './import-parameters.ts';
import type { ImportCursor, ImportPlan } from './import-plan.ts';
import { createImportWork, type ImportSubject } from './import-work.ts';

export interface ImportKindDeps {
  readonly files: ImportFiles;
  /** Told how the first line of a CSV file was understood, before a run is started. */
  readonly onHeader?: (header: FileHeader) => void;
}

/** What tells one kind of import from another. */
export interface ImportKindParts<Parameters extends Json & ImportParameters, Item> {
  readonly name: string;
  readonly title: string;
  readonly parameters: ZodType<Parameters>;
  readonly tables: readonly string[];
  readonly maxBatchRows: number;
  uniqueKey(parameters: Parameters): string;
  reading(parameters: Parameters): ImportReading<Item>;
  subject(context: JobContext<Parameters>): ImportSubject<Item>;
}

/**
 * A file, plain or gzip, CSV or NDJSON. Where rows that belong together may stand anywhere they are first put away by key; then
 * what they make is written, so each of the rows counts twice: read and written.
 */
export const createImportKind = <Parameters extends Json & ImportParameters, Item>(
  { files, onHeader }: ImportKindDeps,
  parts: ImportKindParts<Parameters, Item>,
): JobKind<Parameters, ImportCursor, ImportPlan<Item>> => ({
  name: parts.name,
  title: parts.title,
  parameters: parts.parameters,
  runsOn: 'same host',
  batchRows: { initial: 2_000, min: 100, max: parts.maxBatchRows },
  // Rows that are no good are rejected and told with their lines; none fails a batch.
  maxRowErrors: 0,
  tables: () => parts.tables,
  uniqueKey: (parameters) => parts.uniqueKey(parameters),
  async check({ parameters }) {
    const { file, sha256: expected } = parameters;
    const { format, sha256 } = await files.inspect(file);
    if (expected !== null && expected !== sha256) throw jobRefused(`${file} has just been changed. Start again.`);
    const { columns } = await bindFile(files, { path: file, format }, parts.reading(parameters));
    if (columns !== null) onHeader?.(columns);
  },
  open: async (context) => createImportWork(files, parts.subject(context), context),
});
