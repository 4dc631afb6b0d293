import { usageColumns } from '../domains/usage/usage-csv-line.ts';
import { importUsageFile } from '../domains/usage/usage-import-file-service.ts';
import type { UsageImportParameters } from '../domains/usage/usage-import-jobs.ts';
import { createUsageImportKind } from '../domains/usage/usage-import-jobs.ts';
import { type Run, withApp } from './context.ts';
import { importFile } from './import-file.ts';
import { countText, endImport, type ImportFlags, readMapFlag } from './import-input.ts';

type Counts = Readonly<Record<string, number>>;

/** @returns the exit code */
export const importUsageFrom = (run: Run, options: ImportFlags, path: string): Promise<number> =>
  importFile<UsageImportParameters, Counts>(
    run,
    { ...options, path },
    {
      purpose: 'usage import',
      kind: 'usage.import',
      columns: (format) =>
        readMapFlag(options, format, { article: 'a record', example: 'used=Kilobytes', fields: usageColumns }),
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
        if (!request.dryRun) await usage.rollup.once();
        return counts;
      },
      parameters: {},
      createKind: ({ usage }, deps) => createUsageImportKind({ ...deps, writer: usage.writer }),
      summaryOf: (counts) => counts,
      sentence,
      // Where no server runs nobody else does it.
      afterJob: () => withApp(run, 'usage import', async ({ usage }) => void (await usage.rollup.once())),
      end: (counts) => endUsage(run, options, counts),
    },
  );

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
