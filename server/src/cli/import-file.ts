import type { App } from '../app.ts';
import type { ColumnMap } from '../core/csv-columns.ts';
import type { FileFormat } from '../core/import-reading.ts';
import type { ImportKindDeps } from '../jobs/imports/import-kind.ts';
import type { ImportParameters } from '../jobs/imports/import-parameters.ts';
import type { Run } from './context.ts';
import { importAsJob } from './import-as-job.ts';
import { type DirectRequest, importDirectly } from './import-directly.ts';
import { type ImportFlags, isForJob } from './import-input.ts';

/** What `milliard … import` imports. */
export interface ImportSubject<Parameters extends ImportParameters, Summary> {
  /** `orders import` */
  readonly purpose: string;
  /** `orders.import` */
  readonly kind: string;
  /** Columns under other names, judged by the format of the file before any work. @throws UsageError */
  columns(format: FileFormat): ColumnMap;
  importFile(app: App, request: DirectRequest, map: ColumnMap): Promise<Summary>;
  /** What its job takes beside the file and the columns. */
  readonly parameters: Omit<Parameters, keyof ImportParameters>;
  createKind(app: App, deps: ImportKindDeps): unknown;
  /** What the counts of a run say. */
  summaryOf(counts: Readonly<Record<string, number>>): Summary;
  /** What an import did, or would do. */
  sentence(summary: Summary, dryRun: boolean): string;
  /** After a job is done and before its end is told. */
  afterJob?(): Promise<void>;
  /** @returns the exit code */
  end(summary: Summary): Promise<number>;
}

/** Imports a file by a job, or, where it can be read only once or shall only be judged, at once. @returns the exit code */
export async function importFile<Parameters extends ImportParameters, Summary>(
  run: Run,
  { path, ...options }: ImportFlags & { readonly path: string },
  subject: ImportSubject<Parameters, Summary>,
): Promise<number> {
  const { purpose, kind } = subject;
  if (!(await isForJob(path, options)))
    return importDirectly(
      run,
      { ...options, path },
      {
        purpose,
        flags: subject.columns,
        importFile: subject.importFile,
        sentence: (summary) => subject.sentence(summary, options.dryRun ?? false),
        end: subject.end,
      },
    );
  const { exitCode, counts } = await importAsJob<Parameters>(
    run,
    { ...options, path },
    {
      ...{ kind, purpose },
      parameters: ({ format }) =>
        ({ ...subject.parameters, map: Object.fromEntries(subject.columns(format)) }) as JobParameters<Parameters>,
      createKind: subject.createKind,
      sentence: (found) => subject.sentence(subject.summaryOf(found), false),
    },
  );
  if (counts === null) return exitCode;
  await subject.afterJob?.();
  return subject.end(subject.summaryOf(counts));
}

type JobParameters<Parameters> = Omit<Parameters, 'file' | 'sha256' | 'errors'>;
