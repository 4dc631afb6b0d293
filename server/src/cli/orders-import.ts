import { summaryOf } from '../domains/orders/order-import-apply-service.ts';
import { createOrderImportKind, type OrderImportParameters } from '../domains/orders/order-import-jobs.ts';
import { type ImportPresetName, importPresets } from '../domains/orders/order-import-presets.ts';
import { createOrderImporter } from '../domains/orders/order-import-service.ts';
import type { ImportSummary } from '../domains/orders/order-import-tally.ts';
import type { Run } from './context.ts';
import { importFile } from './import-file.ts';
import { countText, endImport, type ImportFlags, readMapFlag } from './import-input.ts';
import { UsageError } from './stopped.ts';

/** The flags of `milliard orders import`. */
export interface OrderImportOptions extends ImportFlags {
  readonly preset: ImportPresetName;
}

/** @returns the exit code */
export const importOrderFile = (run: Run, options: OrderImportOptions, path: string): Promise<number> =>
  importFile<OrderImportParameters, ImportSummary>(
    run,
    { ...options, path },
    {
      purpose: 'orders import',
      kind: 'orders.import',
      columns: (format) => readColumnFlags(options, { format, path }),
      importFile: ({ db, orders, config }, { onProgress, ...request }, map) =>
        createOrderImporter({ db, writer: orders.writer, defaultCurrency: config.currency }).importOrders({
          ...request,
          preset: options.preset,
          map,
          onProgress: (progress) =>
            onProgress(
              progress.phase === 'reading' ? progress : { ...progress, text: `${countText(progress.orders)} orders` },
            ),
        }),
      parameters: { preset: options.preset },
      createKind: ({ orders, config }, deps) =>
        createOrderImportKind({ ...deps, writer: orders.writer, defaultCurrency: config.currency }),
      summaryOf,
      sentence: summarySentence,
      end: (summary) => endOrders(run, options, summary),
    },
  );

/** What the flags say about a file of this format. @throws UsageError */
function readColumnFlags(
  options: OrderImportOptions,
  { format, path }: { readonly format: 'csv' | 'ndjson'; readonly path: string },
) {
  const { preset, map = [] } = options;
  if (format === 'ndjson' && preset !== 'default')
    throw new UsageError(`--preset ${preset} reads CSV, and ${path} is NDJSON. Leave the preset out.`);
  const { fields } = importPresets[preset];
  if (map.length > 0 && format === 'csv' && fields.length === 0)
    throw new UsageError(`--map goes with --preset default; the columns of ${preset} are fixed.`);
  return readMapFlag(options, format, { article: 'an order', example: 'sku=Article', fields });
}

/** What an import did, or would do, in a sentence. */
const summarySentence = (summary: ImportSummary, dryRun: boolean): string =>
  `${countText(summary.rows)} rows: ${countText(summary.ordersCreated)} orders ${dryRun ? 'would be created' : 'created'}, ` +
  `${countText(summary.ordersReplayed)} there already, ${countText(summary.ordersRejected)} rejected; ${countText(summary.items)} items, ` +
  `${countText(summary.statusesAdded)} statuses added to orders that were there.`;

const endOrders = ({ output }: Run, options: OrderImportOptions, summary: ImportSummary): Promise<number> =>
  endImport(output, options, {
    rows: summary.rows,
    rowsRejected: summary.rowsRejected,
    used: summary.ordersCreated + summary.ordersReplayed,
    record: {
      rows: summary.rows,
      rows_rejected: summary.rowsRejected,
      orders_created: summary.ordersCreated,
      orders_replayed: summary.ordersReplayed,
      orders_rejected: summary.ordersRejected,
      items: summary.items,
    },
  });
