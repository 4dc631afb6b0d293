import { hash } from 'node:crypto';
import type { JobKind } from '../../jobs/job.ts';
import { jobRefused } from '../../jobs/job-errors.ts';
import { ImportFileError } from './order-csv-columns.ts';
import type { FileHeader } from './order-import-csv.ts';
import { readHeader } from './order-import-file-service.ts';
import { type ImportParameters, importParameters, readingOf } from './order-import-parameters.ts';
import type { ImportCursor, ImportPlan } from './order-import-plan.ts';
import { createImportWork, type ImportWorkDeps } from './order-import-work-service.ts';

export interface OrderImportDeps extends ImportWorkDeps {
  /** Told how the first line of a CSV file was understood, before a run is started. */
  readonly onHeader?: (header: FileHeader) => void;
}

/**
 * A file of orders, plain or gzip, CSV or NDJSON. The rows of a CSV file are first put away by the order they belong to, as
 * those of one order may stand anywhere; then the orders are written. So each of its rows counts twice: read and written.
 */
export const createOrderImportKind = (deps: OrderImportDeps): JobKind<ImportParameters, ImportCursor, ImportPlan> => ({
  name: 'orders.import',
  title: 'import a file of orders',
  parameters: importParameters,
  runsOn: 'same host',
  batchRows: { initial: 2_000, min: 100, max: 20_000 },
  // Rows that are no good are rejected and told with their lines; none fails a batch.
  maxRowErrors: 0,
  tables: () => ['orders', 'order_statuses', 'order_keys'],
  uniqueKey: ({ file, sha256, preset, map }) =>
    hash('sha256', JSON.stringify([file, sha256, preset, Object.entries(map).sort()]), 'hex'),
  async check({ parameters }) {
    const { format, sha256 } = await deps.files.inspect(parameters.file);
    if (parameters.sha256 !== null && parameters.sha256 !== sha256)
      throw jobRefused(`${parameters.file} has just been changed. Start again.`);
    if (format === 'csv') {
      const { bound } = await readHeader(deps.files, parameters.file, readingOf(parameters, deps.defaultCurrency));
      deps.onHeader?.(bound);
    } else if (parameters.preset !== 'default')
      throw new ImportFileError(`The preset ${parameters.preset} reads CSV, and ${parameters.file} is NDJSON.`);
  },
  open: async (context) => createImportWork(deps, context),
});
