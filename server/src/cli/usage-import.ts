import { usageColumns } from '../domains/usage/usage-csv-line.ts';
import { importUsageFile } from '../domains/usage/usage-import-file-service.ts';
import type { UsageImportParameters } from '../domains/usage/usage-import-jobs.ts';
import { createUsageImportKind } from '../domains/usage/usage-import-jobs.ts';
import { type Run, withApp } from './context.ts';
import { importAsJob } from './import-as-job.ts';
import { importDirectly } from './import-directly.ts';
import { countText, endImport, type ImportFlags, isForJob, readMapFlag } from './import-input.ts';

const purpose = 'usage import';

type Counts = Readonly<Record<string, number>>;

/** @returns the exit code */
export async function importUsageFrom(run: Run, options: ImportFlags, path: string): Promise<number> {
  const { dryRun = false } = options;
  const flagsFor = (format: 'csv' | 'ndjson') =>
    readMapFlag(options, format, { article: 'a record', example: 'used=Kilobytes', fields: usageColumns });
  const end = (counts: Counts) => endUsage(run, options, counts);
  if (!(await isForJob(path, options))) {
    return importDirectly(
      run,
      { ...options, path },
      {
        purpose,
        flags: flagsFor,
        async importFile({ db, usage }, { onProgress, ...request }, map) {
          const counts = await importUsageFile(
            { db, writer: usage.writer },
            {
              ...request,
              map,
              onProgress: (rows) =>
                onProgress({ phase: 'writing', rows, totalRows: null, text: `${countText(rows)} records` }),
            },
          );
          if (!dryRun) await usage.rollup.once();
          return counts;
        },
        sentence: (counts) => sentence(counts, dryRun),
        end,
      },
    );
  }
  const { exitCode, counts } = await importAsJob<UsageImportParameters>(
    run,
    { ...options, path },
    {
      kind: 'usage.import',
      purpose,
      parameters: ({ format }) => ({ map: Object.fromEntries(flagsFor(format)) }),
      createKind: ({ usage }, deps) => createUsageImportKind({ ...deps, writer: usage.writer }),
      sentence: (found) => sentence(found, false),
    },
  );
  if (counts === null) return exitCode;
  // Where no server runs nobody else does it.
  await withApp(run, purpose, ({ usage }) => usage.rollup.once());
  return end(counts);
}

const sentence = (counts: Counts, dryRun: boolean): string => {
  const { rows = 0, records_created = 0, records_replayed = 0, rows_rejected = 0 } = counts;
  const there = dryRun ? '' : `${countText(records_replayed)} there already, `;
  return `${countText(rows)} rows: ${countText(records_created)} records ${dryRun ? 'could be stored' : 'stored'}, ${there}${countText(rows_rejected)} rejected.`;
};

const endUsage = ({ output }: Run, options: ImportFlags, counts: Counts): Promise<number> => {
  const { rows = 0, rows_rejected = 0, records_created = 0, records_replayed = 0 } = counts;
  return endImport(output, options, {
    rows,
    rowsRejected: rows_rejected,
    used: records_created + records_replayed,
    record: { rows, rows_rejected, records_created, records_replayed },
  });
};
