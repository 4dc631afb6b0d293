import { type Currency, parseCurrency } from '../core/money.ts';
import type { ShipmentImportParameters } from '../domains/shipments/shipment-import-jobs.ts';
import { shipmentFields } from '../domains/shipments/shipment-import-row.ts';
import { type ShipmentImportSummary, shipmentSummaryOf } from '../domains/shipments/shipment-import-tally.ts';
import type { Run } from './context.ts';
import { importFile } from './import-file.ts';
import { countText, endImport, type ImportFlags, readMapFlag } from './import-input.ts';
import type { Output } from './output.ts';
import { UsageError } from './stopped.ts';

/** The flags of `milliard shipments import`. */
export interface ShipmentImportOptions extends ImportFlags {
  readonly currency?: string;
}

/** @returns the exit code */
export async function importShipmentFile(run: Run, options: ShipmentImportOptions, path: string): Promise<number> {
  const currency = readCurrency(options);
  return importFile<ShipmentImportParameters, ShipmentImportSummary>(
    run,
    { ...options, path },
    {
      purpose: 'shipments import',
      kind: 'shipments.import',
      columns: (format) =>
        readMapFlag(options, format, {
          article: 'a shipment',
          example: 'article_name=Product',
          fields: shipmentFields,
        }),
      importFile: ({ shipments }, { onProgress, ...request }, map) =>
        shipments.imports.importShipments({
          ...request,
          ...(currency === null ? {} : { currency }),
          map,
          onProgress: (progress) =>
            onProgress(
              progress.phase === 'reading'
                ? progress
                : { ...progress, text: `${countText(progress.shipments)} shipments` },
            ),
        }),
      parameters: { currency },
      createKind: ({ shipments }, deps) => shipments.imports.kind(deps),
      summaryOf: shipmentSummaryOf,
      sentence: summarySentence,
      end: (summary) => endShipments(run, options, summary),
    },
  );
}

function readCurrency({ currency: code }: ShipmentImportOptions): Currency | null {
  if (code === undefined) return null;
  const currency = parseCurrency(code.toUpperCase());
  if (currency === null) throw new UsageError(`--currency: "${code}" is no ISO 4217 code such as EUR.`);
  return currency;
}

const summarySentence = (summary: ShipmentImportSummary, dryRun: boolean): string =>
  `${countText(summary.rows)} rows: ${countText(summary.shipmentsCreated)} shipments ${dryRun ? 'would be created' : 'created'}, ` +
  `${countText(summary.shipmentsUpdated)} ${dryRun ? 'would be updated' : 'updated'}, ` +
  `${countText(summary.shipmentsUnchanged)} unchanged; ${countText(summary.articles)} articles.`;

async function endShipments(
  { output }: Run,
  options: ShipmentImportOptions,
  summary: ShipmentImportSummary,
): Promise<number> {
  await tellWords(output, summary);
  return endImport(output, options, {
    rows: summary.rows,
    rowsRejected: summary.rowsRejected,
    used: summary.shipmentsCreated + summary.shipmentsUpdated + summary.shipmentsUnchanged,
    record: {
      rows: summary.rows,
      rows_rejected: summary.rowsRejected,
      shipments_created: summary.shipmentsCreated,
      shipments_updated: summary.shipmentsUpdated,
      shipments_unchanged: summary.shipmentsUnchanged,
      articles: summary.articles,
    },
  });
}

/** Words of the file that nobody understands: nothing was lost, but somebody may have meant something. */
async function tellWords(
  output: Output,
  { unknownStatuses, unusedFields }: Pick<ShipmentImportSummary, 'unknownStatuses' | 'unusedFields'>,
): Promise<void> {
  const listed = (words: Readonly<Record<string, number>>) =>
    Object.entries(words)
      .map(([word, rows]) => `${word} (${countText(rows)})`)
      .join(', ');
  if (Object.keys(unknownStatuses).length > 0) {
    output.warn(`Statuses that nobody understands, kept as they are, with their rows: ${listed(unknownStatuses)}`);
    await output.record({ unknown_statuses: unknownStatuses });
  }
  if (Object.keys(unusedFields).length > 0) {
    output.warn(`Fields that are not used, with their rows: ${listed(unusedFields)}`);
    await output.record({ unused_fields: unusedFields });
  }
}
